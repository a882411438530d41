"""How far a token travels: the asynchronous generators between an engine and the socket, each of
which costs processor time for every token.
Spans: server/engine, server/refine, server/service, server/api"""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import AsyncGenerator, Iterator
from types import FrameType
from typing import Any

import pytest

from redraft.server.engine.base import Call, Chunk, Prompt, Sampling
from redraft.server.engine.scripted_engine import ScriptedEngine
from redraft.server.engine.vllm_engine import VllmEngine
from redraft.server.service import Service
from tests.support.asgi import send, srt_model
from tests.support.loops import feedback

MOST = 6
MESSAGES = [{"role": "user", "content": "Capital of France?"}]
CHAT = ("/v1/chat/completions", {"messages": MESSAGES, "stream": True})


class WatchedEngine(ScriptedEngine):
    """Notes which of our generators each of its chunks has to pass, its own included."""

    path: tuple[str, ...] = ()

    async def generate(
        self, prompt: Prompt, sampling: Sampling, call: Call
    ) -> AsyncGenerator[Chunk, None]:
        async for chunk in super().generate(prompt, sampling, call):
            self.path = max(self.path, tuple(generators(sys._getframe())), key=len)
            yield chunk


def generators(frame: FrameType | None) -> Iterator[str]:
    while frame is not None:
        module = frame.f_globals["__name__"]
        if frame.f_code.co_flags & inspect.CO_ASYNC_GENERATOR:
            yield f"{module}.{frame.f_code.co_qualname}"
        frame = frame.f_back


@pytest.mark.parametrize(
    ("path", "body"),
    [
        CHAT,
        ("/v1/completions", {"prompt": "Capital of France?", "stream": True, "refine": {}}),
        ("/v1/refine", {"prompt": "Capital of France?", "stream": True}),
    ],
    ids=["chat", "completions", "refine"],
)
def test_a_streamed_token_of_a_loop_passes_few_generators(path: str, body: Any) -> None:
    engine = WatchedEngine("It is Lyon", feedback(3), "It is Paris")
    answer = asyncio.run(send(Service(srt_model(engine)), "POST", path, json=body))
    assert answer.status_code == 200
    assert any(".loop." in name for name in engine.path), engine.path
    assert len(engine.path) <= MOST, engine.path


def test_vllms_output_passes_one_generator_of_the_engine() -> None:
    """As it does in the engine above: the others are the loop's and the HTTP side's."""
    assert not inspect.isasyncgenfunction(VllmEngine.generate)
