"""Texts that are read together are read as if each were alone; one that cannot be is told."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from redraft.server.engine.base import EngineUnavailable
from tests.support import tiny_model

pytestmark = pytest.mark.train


def test_texts_read_together_are_as_surprising_as_alone(tmp_path: Path) -> None:
    from redraft.train.surprise import Surprise

    surprise = Surprise.load(tiny_model.build(tmp_path / "model"))
    texts = [((5, 6), (7, 8, 9)), ((4,), (10,)), ((3, 2, 1, 5), (6, 6))]

    async def together() -> list[float]:
        return await asyncio.gather(*(surprise.of(*text) for text in texts))

    alone = [asyncio.run(surprise.of(*text)) for text in texts]
    assert asyncio.run(together()) == pytest.approx(alone, abs=1e-4)


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
