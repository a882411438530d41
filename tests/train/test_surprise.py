"""Texts that are read together are read as if each were alone; one that cannot be is told."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path
from typing import Any

import pytest

from redraft.server.engine.base import EngineUnavailable
from tests.support import tiny_model

pytestmark = pytest.mark.train


def test_surprise_is_the_mean_loss_of_the_text_whatever_it_is_read_beside(tmp_path: Path) -> None:
    import torch

    from redraft.train.surprise import Surprise

    surprise = Surprise.load(tiny_model.build(tmp_path / "model"))
    texts = [((10, 11, 12), tuple(range(20, 20 + n))) for n in (1, 5, 30)]

    async def together() -> list[float]:
        return await asyncio.gather(*(surprise.of(*text) for text in texts))

    for (prompt, text), found in zip(texts, asyncio.run(together()), strict=True):
        ids = torch.tensor([[*prompt, *text]])
        labels = ids.clone()
        labels[0, : len(prompt)] = -100
        expected = float(surprise.model(input_ids=ids, labels=labels).loss.detach())
        assert math.isclose(found, expected, rel_tol=1e-4)


def test_a_model_that_fails_is_told_to_all_who_wait() -> None:
    from redraft.train.surprise import Surprise

    class OutOfMemory:
        device = "cpu"

        def __call__(self, **_: Any) -> Any:
            raise RuntimeError("out of memory")

    surprise = Surprise(OutOfMemory())

    async def together() -> list[float | BaseException]:
        waiting = [surprise.of((1,), (2, 3)), surprise.of((1,), (4,))]
        async with asyncio.timeout(10):
            return await asyncio.gather(*waiting, return_exceptions=True)

    outcomes = asyncio.run(together())
    assert all(isinstance(outcome, EngineUnavailable) for outcome in outcomes), outcomes
