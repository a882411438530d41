"""What adapters add on a CPU: to each row what its own adapter does, to the base's rows nothing."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

pytestmark = pytest.mark.vllm

INPUTS, RANK, WIDTHS = 12, 4, (6, 3)  # as of a layer whose two parts vLLM has in one


@pytest.mark.parametrize(
    "slots", [[-1, -1, -1], [0, 0, 0], [1, -1, 0], [-1, 1, 1], [0, 1], [1]], ids=str
)
def test_each_row_gets_what_its_adapter_adds(slots: list[int]) -> None:
    import torch

    from redraft.server.engine.vllm_engine.adapters_on_cpu import add_lora_linear

    rows = 3  # a batch may be longer than its list of slots: the rest is padding
    with torch.random.fork_rng():
        torch.manual_seed(0)
        a = tuple(torch.randn(3, 1, RANK, INPUTS) for _ in WIDTHS)
        b = tuple(torch.randn(3, 1, width, RANK) for width in WIDTHS)
        x, before = torch.randn(rows, INPUTS), torch.randn(rows, sum(WIDTHS))
    y = before.clone()
    batch = SimpleNamespace(token_lora_indices=torch.tensor(slots))
    add_lora_linear(batch, y, x, a, b, 0.5, WIDTHS)
    for row in range(rows):
        slot = slots[row] if row < len(slots) else -1
        added = [
            0.5 * (one[slot, 0] @ (other[slot, 0] @ x[row]))
            for one, other in zip(b, a, strict=True)
        ]
        expected = before[row] + torch.cat(added) if slot >= 0 else before[row]
        assert torch.allclose(y[row], expected, atol=1e-5)


@pytest.mark.parametrize("slots", [[-1, 0, 1], [0, 0, 0], [1, 1, 1], [0, 1]], ids=str)
def test_logits_get_it_where_their_adapter_has_any_for_them(slots: list[int]) -> None:
    import torch

    from redraft.server.engine.vllm_engine.adapters_on_cpu import add_lora_logits

    words = 7
    with torch.random.fork_rng():
        torch.manual_seed(0)
        a, b = torch.randn(3, 1, RANK, INPUTS), torch.randn(3, 1, words, RANK)
        b[1] = 0.0  # as vLLM has it for an adapter without a head
        x, before = torch.randn(len(slots), INPUTS), torch.randn(len(slots), words)
    y = before.clone()
    add_lora_logits(SimpleNamespace(sampler_indices=torch.tensor(slots)), y, x, a, b, 1.0)
    for row, slot in enumerate(slots):
        expected = before[row] + b[0, 0] @ (a[0, 0] @ x[row]) if slot == 0 else before[row]
        assert torch.allclose(y[row], expected, atol=1e-5)


def test_the_rows_are_looked_up_once_for_a_batch() -> None:
    import torch

    from redraft.server.engine.vllm_engine.adapters_on_cpu import groups_of

    assert groups_of(torch.tensor([2, 2]), 2) == {2: None}
    groups = groups_of(torch.tensor([1, -1, 0, 1]), 4)
    assert {slot: rows.tolist() for slot, rows in groups.items() if rows is not None} == {
        0: [2],
        1: [0, 3],
    }
