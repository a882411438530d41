"""top_p and top_k on a CPU: the tokens that vLLM's own way keeps, without sorting them all."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.vllm

VOCABULARY = 9_000  # more than all the likeliest that are looked at
# How uneven the tokens are: the nucleus is a handful, hundreds, most of them.
PEAKED, MIDDLING, FLAT = 9.0, 3.0, 0.3


def logits_of(*spreads: float) -> Any:
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(0)
        return torch.stack([torch.randn(VOCABULARY) * spread for spread in spreads])


def kept(logits: Any) -> list[set[int]]:
    return [set(row.isfinite().nonzero().squeeze(1).tolist()) for row in logits]


@pytest.mark.parametrize(
    ("p", "k"),
    [
        ([0.9, 0.9, 0.9], None),
        ([0.5, 0.99, 0.2], None),
        ([1.0, 0.9, 1.0], None),
        ([1.0, 1.0, 1.0], None),
        ([1e-6, 0.9, 0.9], None),
        (None, [1, 40, VOCABULARY]),
        ([0.9, 0.5, 0.9], [VOCABULARY, 40, 40]),
        (None, None),
    ],
)
def test_the_tokens_are_those_that_vllm_keeps(p: list[float] | None, k: list[int] | None) -> None:
    import torch

    from redraft.server.engine.vllm_engine import nucleus_on_cpu

    def filtered(function: Any) -> list[set[int]]:
        ks = None if k is None else torch.tensor(k, dtype=torch.int32)
        ps = None if p is None else torch.tensor(p)
        return kept(function(logits_of(PEAKED, MIDDLING, FLAT), ks, ps))

    ours = filtered(nucleus_on_cpu.apply_top_k_top_p)
    assert ours == filtered(nucleus_on_cpu.SORTED)
    assert all(ours)


def test_only_a_nucleus_of_thousands_is_sorted_for(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from redraft.server.engine.vllm_engine import nucleus_on_cpu

    sorted_rows: list[int] = []

    def counted(logits: Any, k: Any, p: Any) -> Any:
        sorted_rows.append(len(logits))
        return logits

    monkeypatch.setattr(nucleus_on_cpu, "SORTED", counted)
    nucleus_on_cpu.apply_top_k_top_p(logits_of(PEAKED, MIDDLING), None, torch.tensor([0.9, 0.9]))
    assert sorted_rows == []
    nucleus_on_cpu.apply_top_k_top_p(logits_of(PEAKED, FLAT), None, torch.tensor([0.9, 0.9]))
    assert sorted_rows == [1]


def test_tokens_that_are_as_likely_as_the_last_of_the_nucleus_are_kept_with_it() -> None:
    import torch

    from redraft.server.engine.vllm_engine import nucleus_on_cpu

    logits = torch.full((1, VOCABULARY), -20.0)
    logits[0, :4] = torch.tensor([1.0, 0.0, 0.0, 0.0])
    first = nucleus_on_cpu.apply_top_k_top_p(logits, None, torch.tensor([0.5]))
    assert kept(first) == [{0, 1, 2, 3}]
