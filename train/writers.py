"""Who writes which phase: a tuned model, or an adapter, and the model that drafts for it, as one
engine."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace

from redraft.server.engine.base import (
    PLAIN,
    Call,
    ChatOptions,
    Chunk,
    Engine,
    Message,
    Prompt,
    Sampling,
)
from redraft.server.refine.adapters import PhaseAdapters

_DRAFTER = "drafter"
DRAFTS_ELSEWHERE = PhaseAdapters(draft=_DRAFTER)


class Writers:
    """The tuned model writes all but what ``DRAFTS_ELSEWHERE`` asks for. Both have the same tokens;
    with ``adapter``, both are one engine, and the tuned model is that adapter on it."""

    thinks = calls_tools = writes_on = predicts = False

    def __init__(self, tuned: Engine, drafter: Engine, adapter: str | None = None) -> None:
        self._tuned, self._drafter, self._adapter = tuned, drafter, adapter
        self.name, self.model, self.has_tokens = tuned.name, tuned.model, tuned.has_tokens
        self.window = min(tuned.window, drafter.window)
        self.constrains = tuned.constrains

    def generate(
        self, prompt: Prompt, sampling: Sampling, call: Call
    ) -> AsyncGenerator[Chunk, None]:
        if call.adapter == _DRAFTER:
            return self._drafter.generate(prompt, sampling, replace(call, adapter=None))
        return self._tuned.generate(prompt, sampling, replace(call, adapter=self._adapter))

    async def encode(self, text: str) -> tuple[int, ...]:
        return await self._tuned.encode(text)

    async def encode_chat(
        self, messages: tuple[Message, ...], options: ChatOptions = PLAIN
    ) -> tuple[int, ...]:
        return await self._tuned.encode_chat(messages, options)

    async def check(self) -> None:
        for engine in {self._tuned, self._drafter}:
            await engine.check()

    async def close(self) -> None:
        for engine in {self._tuned, self._drafter}:
            await engine.close()
