"""One engine out of two models: on real vLLM, an adapter and the base that drafts for it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from redraft.server.engine.base import Call, Chat, Engine, Message, Sampling, complete
from redraft.train.engines import EngineSpec, opened
from redraft.train.writers import DRAFTS_ELSEWHERE
from tests.support import tiny_adapter, tiny_model

ASK = Chat((Message("user", "Name an animal."),))
GREEDY = Sampling(temperature=0.0, max_tokens=12)


async def written(engine: Engine, adapter: str | None) -> str:
    return (await complete(engine, ASK, GREEDY, Call("ask", adapter=adapter))).text


@pytest.mark.vllm
@pytest.mark.train
def test_an_adapter_on_vllm_is_the_tuned_model_and_its_base_can_draft(tmp_path: Path) -> None:
    base = tiny_model.build(tmp_path / "base")
    adapter = tiny_adapter.build(tmp_path / "adapter", base, seed=1)

    async def both() -> tuple[str, str, str]:
        async with opened(EngineSpec(str(adapter), within="vllm", window=256)) as engine:
            tuned = await written(engine, None), await written(engine, DRAFTS_ELSEWHERE.draft)
        async with opened(EngineSpec(str(base), within="vllm", window=256)) as engine:
            return *tuned, await written(engine, None)

    tuned, drafted, by_base = asyncio.run(both())
    assert tuned != drafted == by_base
