"""When the first token, the first answer token and the last token of a stream came."""

from __future__ import annotations

import time
from typing import Any

from redraft.benchmarks.load.endpoint import CallFailed
from redraft.benchmarks.load.timing import Timing


class Streamed:
    def __init__(self, due: float) -> None:
        self._due = due
        self._sent = time.perf_counter()
        self.first = self.first_answer = self.last = 0.0
        self.prompt_tokens = self.completion_tokens = self.cached_tokens = 0
        self.text = ""
        self.refine: dict[str, Any] = {}  # Redraft's account of the loop

    @property
    def seconds(self) -> float:
        return self.last - self._sent

    def take(self, at: float, chunk: dict[str, Any]) -> None:
        for choice in chunk.get("choices") or ():
            delta = choice.get("delta") or {}
            text = delta.get("content") or choice.get("text") or ""
            if text or delta.get("reasoning") or delta.get("reasoning_content"):
                self.first = self.first or at
                self.last = at
            if text:
                self.first_answer = self.first_answer or at
                self.text += text
        self.refine = chunk.get("refine") or self.refine
        if used := chunk.get("usage"):
            self.prompt_tokens = used["prompt_tokens"]
            self.completion_tokens = used["completion_tokens"]
            self.cached_tokens = (used.get("prompt_tokens_details") or {}).get("cached_tokens") or 0

    def finish(self) -> None:
        if not self.first_answer:
            raise CallFailed("no_content", "the stream had no answer in it")

    def timing(self, phases: dict[str, float], tokens: int = 0) -> Timing:
        self.finish()
        return Timing(
            self.first - self._due,
            self.first_answer - self._due,
            self.last - self._due,
            self.completion_tokens or tokens,
            self.prompt_tokens,
            self.cached_tokens,
            phases=phases,
        )
