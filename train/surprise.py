"""How surprising a text is to a model: the guard that mending a response does not mangle it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from redraft.server.engine.base import EngineUnavailable
from redraft.train import weights

_MOST_BATCH_TOKENS = 16_384  # their logits over a large vocabulary take 5 GB


@dataclass(slots=True)
class Surprise:
    """A model that reads texts. Those that come together are read together."""

    model: Any
    _pending: list[tuple[tuple[int, ...], int, asyncio.Future[float]]] = field(default_factory=list)
    _worker: asyncio.Task[None] | None = None

    @classmethod
    def load(cls, directory: Path) -> Surprise:
        return cls(weights.ready(directory))

    async def of(self, prompt: tuple[int, ...], text: tuple[int, ...]) -> float:
        """The mean negative log likelihood of a token of ``text`` after the prompt, in nats."""
        if not text:
            return 0.0
        done: asyncio.Future[float] = asyncio.Future()
        self._pending.append(((*prompt, *text), len(text), done))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        return await done

    async def _work(self) -> None:
        await asyncio.sleep(0)  # let all texts of this moment join the batch
        while self._pending:
            self._pending.sort(key=lambda pending: len(pending[0]), reverse=True)
            size = max(1, _MOST_BATCH_TOKENS // len(self._pending[0][0]))
            batch, self._pending = self._pending[:size], self._pending[size:]
            texts = [(ids, count) for ids, count, _ in batch]
            try:
                values = await asyncio.to_thread(self._read, texts)
            except RuntimeError as error:  # torch: out of memory, device lost
                for _, _, done in batch:
                    if not done.done():
                        done.set_exception(EngineUnavailable(f"reading failed: {error}"))
                continue
            for (_, _, done), value in zip(batch, values, strict=True):
                if not done.done():
                    done.set_result(value)

    @torch.inference_mode()
    def _read(self, texts: list[tuple[tuple[int, ...], int]]) -> list[float]:
        device = self.model.device
        longest = max(len(ids) for ids, _ in texts)
        padded = torch.tensor([[*ids, *[0] * (longest - len(ids))] for ids, _ in texts])
        lengths = torch.tensor([len(ids) for ids, _ in texts], device=device)
        counted = torch.tensor([count for _, count in texts], device=device)
        ids = padded.to(device)
        place = torch.arange(longest, device=device)
        # Padding comes after the text, which does not look at it: no mask is needed.
        logits = self.model(input_ids=ids, use_cache=False).logits[:, :-1]
        chosen = logits.gather(2, ids[:, 1:, None]).squeeze(2).float()
        likelihood = chosen - torch.logsumexp(logits.float(), -1)
        within = place[None, 1:] < lengths[:, None]
        within &= place[None, 1:] >= (lengths - counted)[:, None]
        mean = -(likelihood * within).sum(1) / within.sum(1)
        return [float(value) for value in mean.tolist()]
