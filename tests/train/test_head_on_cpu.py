"""On a CPU tokens are scored as TRL scores them, but only those that bear loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", reason="the train extra is not installed")

import torch
from trl.kernels import chunked_logprob
from trl.trainer import utils

from redraft.train import head_on_cpu
from tests.support import tiny_model

pytestmark = pytest.mark.train
FIELDS = ("log_probs", "entropy", "log_sum_sq_probs", "mean_logits", "is_top1")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from transformers import AutoModelForCausalLM

    folder: Path = tiny_model.build(tmp_path_factory.mktemp("tiny"))
    loaded: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    utils.add_fused_lm_head(loaded, temperature=0.7, outputs=FIELDS)
    return loaded


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_use_triton", "_ChunkedLogProbFunction"):
        monkeypatch.setattr(utils, name, getattr(utils, name))  # put back afterwards
    head_on_cpu.install(utils)


def batch(rows: int, length: int) -> dict[str, Any]:
    ids = torch.randint(5, 300, (rows, length), generator=torch.Generator().manual_seed(1))
    labels = ids.clone()
    labels[:, : length // 2] = -100  # the prompts
    labels[0, -3:] = -100
    return {"input_ids": ids, "labels": labels, "fused_lm_head": True}


def scored(model: Any, inputs: dict[str, Any]) -> tuple[Any, list[Any]]:
    model.zero_grad()
    found = model(**inputs)
    found.loss.backward()
    return found, [weight.grad.clone() for weight in model.parameters()]


@pytest.mark.parametrize(("rows", "length"), [(3, 20), (3, 70)])
def test_what_is_computed_is_the_same(
    model: Any, monkeypatch: pytest.MonkeyPatch, rows: int, length: int
) -> None:
    monkeypatch.setattr(head_on_cpu, "AT_ONCE", 64)  # the longer batch takes two parts
    monkeypatch.setattr(utils, "_use_triton", chunked_logprob._use_triton)
    monkeypatch.setattr(utils, "_ChunkedLogProbFunction", chunked_logprob.ChunkedLogProbFunction)
    inputs = batch(rows, length)
    theirs, their_gradients = scored(model, inputs)
    install(monkeypatch)
    ours, gradients = scored(model, inputs)
    for name in FIELDS:
        torch.testing.assert_close(getattr(ours, name), getattr(theirs, name), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(ours.loss, theirs.loss)
    torch.testing.assert_close(gradients, their_gradients, atol=1e-5, rtol=1e-3)


def test_prompts_are_not_scored(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)
    rows: list[int] = []

    def counted(states: Any, *more: Any) -> Any:
        rows.append(len(states))
        return torch.nn.functional.linear(states, *more)

    monkeypatch.setattr(head_on_cpu, "linear", counted)
    monkeypatch.setattr(head_on_cpu, "AT_ONCE", 9)
    inputs = batch(3, 20)
    with torch.no_grad():
        model(**inputs)
    assert rows == [9, 9, 9]
    assert int((inputs["labels"] != -100).sum()) == 27


def test_a_batch_without_loss_is_no_error(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)
    inputs = batch(1, 8)
    inputs["labels"][:] = -100
    assert float(scored(model, inputs)[0].loss.detach()) == 0
