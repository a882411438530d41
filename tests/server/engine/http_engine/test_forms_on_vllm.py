"""A real vLLM upstream is held to a grammar.
Spans: server/engine/http_engine"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from redraft.server.engine.base import Call, Constraint, Sampling, complete
from redraft.server.engine.http_engine import HttpEngine, Upstream
from tests.support import tiny_model
from tests.support.http_stage import CHAT
from tests.support.vllm_server import vllm_server

pytestmark = [pytest.mark.vllm, pytest.mark.slow]


def test_random_weights_behind_vllms_own_server_keep_to_the_grammar(tmp_path: Path) -> None:
    wanted = Sampling(
        temperature=1.0,
        max_tokens=9,
        forms=(Constraint("grammar", 'root ::= "yes" | "no"'), Constraint("json_schema", "{}")),
    )

    async def answer(url: str) -> tuple[str, str | None]:
        engine = await HttpEngine.connect(Upstream(url))
        try:
            return (await complete(engine, CHAT, wanted, Call("held"))).text, engine.constrains
        finally:
            await engine.close()

    with vllm_server(tiny_model.build(tmp_path / "model"), tmp_path / "log") as url:
        text, constrains = asyncio.run(answer(url))
    assert text in ("yes", "no")
    assert constrains == "grammar"
