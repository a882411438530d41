"""continuous_usage_stats: every chunk of a stream has the usage so far, as in vLLM."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import openai
import pytest

from redraft.server.engine.script import Say
from redraft.server.engine.scripted_engine import ScriptedEngine
from redraft.server.service import Service
from tests.server.api.test_chat_stream import LOOP, TWICE, events
from tests.support.asgi import post, send, srt_model
from tests.support.serving import answering

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
CONTINUOUS = {"include_usage": True, "continuous_usage_stats": True}
BODIES: dict[str, dict[str, Any]] = {
    CHAT: {"messages": [{"role": "user", "content": "Capital of France?"}]},
    COMPLETIONS: {"prompt": "Capital of France?", "refine": {}},
}


def chunks(path: str, options: dict[str, Any], *script: str, **refine: Any) -> list[Any]:
    body = {**BODIES[path], "stream": True, "stream_options": options, "refine": refine}
    answer = post(path, body, *script)
    assert answer.status_code == 200, answer.text
    return events(answer.text)


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
@pytest.mark.parametrize(
    ("script", "refine"), [(LOOP, {}), (TWICE, {"max_iterations": 2}), (LOOP, {"drafts": 1})]
)
def test_the_usage_grows_from_chunk_to_chunk_up_to_that_of_the_loop(
    path: str, script: tuple[str, ...], refine: dict[str, Any]
) -> None:
    usages = [chunk["usage"] for chunk in chunks(path, CONTINUOUS, *script, **refine)]
    for earlier, later in pairwise(usages):
        assert earlier["total_tokens"] <= later["total_tokens"]
        assert later["total_tokens"] == later["prompt_tokens"] + later["completion_tokens"]
    for name in ("prompt_tokens", "completion_tokens", "total_tokens"):
        assert usages[-2][name] == usages[-1][name]


def test_the_first_chunks_count_what_has_been_written() -> None:
    usages = [chunk["usage"] for chunk in chunks(CHAT, CONTINUOUS, *LOOP)]
    assert [usage["completion_tokens"] for usage in usages[:4]] == [1, 1, 2, 3]


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
@pytest.mark.parametrize("options", [{"include_usage": True}, {"continuous_usage_stats": True}])
def test_without_both_options_no_chunk_but_the_last_has_usage(
    path: str, options: dict[str, bool]
) -> None:
    *rest, last = chunks(path, options, *LOOP)
    assert not any("usage" in chunk for chunk in rest)
    assert ("usage" in last) == ("include_usage" in options)


def test_the_stock_client_reads_it() -> None:
    with answering(ScriptedEngine(*LOOP)) as served:
        client = openai.OpenAI(base_url=served.v1, api_key="none")
        options: Any = CONTINUOUS
        stream = client.chat.completions.create(
            model="scripted", messages=BODIES[CHAT]["messages"], stream=True, stream_options=options
        )
        usages = [chunk.usage for chunk in stream]
    assert all(usages)


def test_thoughts_count_as_they_are_written() -> None:
    engine = ScriptedEngine(Say("It is Lyon", thought="Hm, well"), *LOOP[1:], thinks=True)
    body = BODIES[CHAT] | {"stream": True, "stream_options": CONTINUOUS}
    answer = asyncio.run(send(Service(srt_model(engine)), "POST", CHAT, json=body))
    written = [chunk["usage"]["completion_tokens"] for chunk in events(answer.text)]
    assert written[:4] == [1, 1, 2, 3]
