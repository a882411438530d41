"""An engine over a transformers model in this process, for machines and tests without vLLM.

Calls that come together are generated together, left-padded, sorted by length. It gives whole
completions, one chunk each: the stages wait for the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from redraft.server.engine.base import (
    PLAIN,
    Call,
    ChatOptions,
    Chunk,
    EngineUnavailable,
    FinishReason,
    Message,
    Prompt,
    PromptTooLong,
    Sampling,
    Tokens,
    Usage,
)
from redraft.train.data import tokens
from redraft.train.data.tokens import Tokenizer

_DEFAULT_MAX_TOKENS = 1024
_COMPACT_BELOW = 0.5  # drop finished rows from the batch once this share of it is still running


@dataclass(slots=True)
class _Row:
    """One completion being generated."""

    prompt: tuple[int, ...]
    sampling: Sampling
    ends: frozenset[int]
    limit: int
    random: torch.Generator | None
    done: asyncio.Future[Chunk]
    ids: list[int] = field(default_factory=list)
    num_generated: int = 0
    finish: FinishReason | None = None


class TransformersEngine:
    has_tokens = True
    constrains = None
    thinks = calls_tools = False

    def __init__(
        self, model: Any, tokenizer: Tokenizer, name: str, window: int, batch: int
    ) -> None:
        self.name, self.model, self.window = name, name, window
        self._model, self._tokenizer, self._batch = model, tokenizer, batch
        eos = model.generation_config.eos_token_id
        if eos is None:
            eos = tokenizer.loaded.eos_token_id
        self._eos = frozenset(eos if isinstance(eos, list) else [eos])
        self._pending: list[_Row] = []
        self._worker: asyncio.Task[None] | None = None
        self._closed = False

    @classmethod
    def load(cls, directory: Path, window: int | None, batch: int) -> TransformersEngine:
        from transformers import AutoModelForCausalLM

        device = "cuda" if torch.cuda.is_available() else "cpu"
        dtype = torch.bfloat16 if device == "cuda" else torch.float32
        model: Any = AutoModelForCausalLM.from_pretrained(directory, dtype=dtype)
        model = model.to(device).eval()
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
        row = self._row(ids, sampling)
        self._pending.append(row)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        yield await row.done

    def _row(self, ids: tuple[int, ...], sampling: Sampling) -> _Row:
        random = None
        if sampling.seed is not None:
            random = torch.Generator().manual_seed(sampling.seed)
        ends = frozenset(sampling.stop_token_ids)
        if not sampling.ignore_eos:
            ends |= self._eos
        limit = min(sampling.max_tokens or _DEFAULT_MAX_TOKENS, self.window - len(ids))
        return _Row(ids, sampling, ends, limit, random, asyncio.Future())

    async def _work(self) -> None:
        await asyncio.sleep(0)  # let all calls of this moment join the batch
        while self._pending:
            self._pending.sort(key=lambda row: len(row.prompt))
            batch = self._pending[: self._batch]
            self._pending = self._pending[self._batch :]
            try:
                await asyncio.to_thread(self._generate, batch)
            except RuntimeError as error:  # torch: out of memory, device lost
                for row in batch:
                    if not row.done.done():
                        row.done.set_exception(EngineUnavailable(f"generation failed: {error}"))
                continue
            for row in batch:
                if not row.done.done():
                    row.done.set_result(self._chunk(row))

    @torch.inference_mode()
    def _generate(self, rows: list[_Row]) -> None:
        device = self._model.device
        longest = max(len(row.prompt) for row in rows)
        padded = [[0] * (longest - len(r.prompt)) + list(r.prompt) for r in rows]
        attended = [[0] * (longest - len(r.prompt)) + [1] * len(r.prompt) for r in rows]
        ids, mask = torch.tensor(padded, device=device), torch.tensor(attended, device=device)
        position, cache, running = (mask.cumsum(1) - 1).clamp(min=0), None, list(rows)
        while running:
            out = self._model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=position,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
            cache = out.past_key_values
            logits = out.logits[:, -1].float().cpu()
            next_ids = [self._next(row, logits[i]) for i, row in enumerate(running)]
            keep = [i for i, row in enumerate(running) if row.finish is None]
            if len(keep) <= len(running) * _COMPACT_BELOW:
                index = torch.tensor(keep, device=device, dtype=torch.long)
                running, next_ids = [running[i] for i in keep], [next_ids[i] for i in keep]
                mask, position = mask[index], position[index]
                if running:
                    cache.batch_select_indices(index)
            ids = torch.tensor(next_ids, device=device).unsqueeze(1)
            mask = torch.cat([mask, mask.new_ones(len(running), 1)], dim=1)
            position = position[:, -1:] + 1

    def _next(self, row: _Row, logits: torch.Tensor) -> int:
        """Sample the row's next token and see whether that ends it."""
        if row.finish is not None:
            return 0
        token = _sample(logits, row.sampling, row.random)
        row.num_generated += 1
        if token in row.ends:
            row.finish = "stop"
            return token
        row.ids.append(token)
        if row.sampling.stop and self._stopped(row):
            row.finish = "stop"
        elif row.num_generated >= row.limit:
            row.finish = "length"
        return token

    def _stopped(self, row: _Row) -> bool:
        text = self._tokenizer.decode(row.ids)
        stops = [at for stop in row.sampling.stop if (at := text.find(stop)) >= 0]
        if not stops:
            return False
        while row.ids and len(self._tokenizer.decode(row.ids)) > min(stops):
            row.ids.pop()
        return True

    def _chunk(self, row: _Row) -> Chunk:
        usage = Usage(len(row.prompt), row.num_generated, calls=1)
        return Chunk(self._tokenizer.decode(row.ids), tuple(row.ids), row.finish, usage)

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
        for row in self._pending:
            row.done.set_exception(EngineUnavailable(f"engine {self.name!r} was closed"))
        self._pending.clear()


def _sample(logits: torch.Tensor, sampling: Sampling, random: torch.Generator | None) -> int:
    temperature = 1.0 if sampling.temperature is None else sampling.temperature
    if temperature == 0:
        return int(logits.argmax())
    logits = logits / temperature
    if sampling.top_k and sampling.top_k > 0:
        kth = logits.topk(min(sampling.top_k, logits.numel())).values[-1]
        logits = logits.masked_fill(logits < kth, -torch.inf)
    probabilities = logits.softmax(-1)
    if sampling.top_p is not None and sampling.top_p < 1:
        ordered, index = probabilities.sort(descending=True)
        ordered[ordered.cumsum(0) - ordered > sampling.top_p] = 0.0
        probabilities = torch.zeros_like(probabilities).scatter(0, index, ordered)
    return int(torch.multinomial(probabilities, 1, generator=random))
