"""An engine over a transformers model in this process, for machines and tests without vLLM.

Calls that come together are generated together, left-padded, sorted by length. It gives whole
completions, one chunk each: the stages wait for the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from redraft.server.engine.base import (
    PLAIN,
    Call,
    ChatOptions,
    Chunk,
    EngineUnavailable,
    Message,
    Prompt,
    PromptTooLong,
    Sampling,
    Tokens,
    Usage,
)
from redraft.train import weights
from redraft.train.batched_generation import Generated, GenerationRow, generate
from redraft.train.data import tokens
from redraft.train.data.tokens import Tokenizer

_DEFAULT_MAX_TOKENS = 1024
# Prompt and completion of a batch: the keys and values of so many tokens, and their copies, fit a
# GPU. On a CPU the number of rows is the tighter limit.
_MOST_BATCH_TOKENS = 1_500_000


class TransformersEngine:
    has_tokens = True
    constrains = None
    thinks = calls_tools = writes_on = predicts = False

    def __init__(
        self, model: Any, tokenizer: Tokenizer, name: str, window: int, batch: int
    ) -> None:
        self.name, self.model, self.window = name, name, window
        self.loaded, self._tokenizer, self._batch = model, tokenizer, batch
        eos = model.generation_config.eos_token_id
        if eos is None:
            eos = tokenizer.loaded.eos_token_id
        self._eos = frozenset(eos if isinstance(eos, list) else [eos])
        self._pending: list[tuple[GenerationRow, asyncio.Future[Chunk]]] = []
        self._worker: asyncio.Task[None] | None = None
        self._closed = False

    @classmethod
    def load(cls, directory: Path, window: int | None, batch: int) -> TransformersEngine:
        """``directory`` holds whole weights, or an adapter that is folded into its base."""
        model = weights.ready(directory)
        longest = model.config.max_position_embeddings
        window = min(window or longest, longest)
        return cls(model, tokens.load(directory), str(directory), window, batch)

    async def generate(
        self, prompt: Prompt, sampling: Sampling, call: Call
    ) -> AsyncGenerator[Chunk, None]:
        await self.check()
        ids = prompt.ids if isinstance(prompt, Tokens) else await self.encode_chat(prompt.messages)
        if len(ids) >= self.window:
            raise PromptTooLong(f"the prompt has {len(ids)} tokens, the window is {self.window}")
        done: asyncio.Future[Chunk] = asyncio.Future()
        self._pending.append((self._row(ids, sampling), done))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        yield await done

    def _row(self, ids: tuple[int, ...], sampling: Sampling) -> GenerationRow:
        ends = frozenset(sampling.stop_token_ids)
        if not sampling.ignore_eos:
            ends |= self._eos
        limit = min(sampling.max_tokens or _DEFAULT_MAX_TOKENS, self.window - len(ids))
        return GenerationRow(ids, sampling, ends, limit)

    async def _work(self) -> None:
        await asyncio.sleep(0)  # let all calls of this moment join the batch
        while self._pending:
            # The longest first: a batch that does not fit the memory fails at once.
            self._pending.sort(key=lambda pending: pending[0].most_tokens, reverse=True)
            most_tokens = self._pending[0][0].most_tokens
            size = max(1, min(self._batch, _MOST_BATCH_TOKENS // most_tokens))
            batch, self._pending = self._pending[:size], self._pending[size:]
            rows = [row for row, _ in batch]
            decode = self._tokenizer.decode
            try:
                completions = await asyncio.to_thread(generate, self.loaded, rows, decode)
            except RuntimeError as error:  # torch: out of memory, device lost
                for _, done in batch:
                    if not done.done():
                        done.set_exception(EngineUnavailable(f"generation failed: {error}"))
                continue
            for (row, done), generated in zip(batch, completions, strict=True):
                if not done.done():
                    done.set_result(self._chunk(row, generated))

    def _chunk(self, row: GenerationRow, generated: Generated) -> Chunk:
        usage = Usage(len(row.prompt), generated.num_tokens, calls=1)
        text = self._tokenizer.decode(generated.ids)
        return Chunk(text, generated.ids, generated.finish_reason, usage)

    async def encode(self, text: str) -> tuple[int, ...]:
        return self._tokenizer.encode(text)

    async def encode_chat(
        self, messages: tuple[Message, ...], options: ChatOptions = PLAIN
    ) -> tuple[int, ...]:
        return self._tokenizer.encode_chat(messages)

    async def check(self) -> None:
        if self._closed:
            raise EngineUnavailable(f"engine {self.name!r} was closed")

    async def close(self) -> None:
        self._closed = True
        for _, done in self._pending:
            done.set_exception(EngineUnavailable(f"engine {self.name!r} was closed"))
        self._pending.clear()
