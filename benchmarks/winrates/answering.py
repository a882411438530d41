"""Answers to instructions from any OpenAI-compatible server, kept in a journal."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from redraft.benchmarks.load.endpoint import CallFailed, Endpoint, Session
from redraft.benchmarks.load.recorded import key_of, record_all
from redraft.benchmarks.output.journal import Record
from redraft.benchmarks.winrates.alpaca import SystemAnswer


@dataclass(frozen=True, slots=True)
class Asking:
    """Sampling and refine options of requests; part of the journal's keys."""

    max_tokens: int = 2048
    temperature: float = 0.0
    seed: int = 0
    refine: Mapping[str, Any] = field(default_factory=dict)  # Redraft's options; others ignore it

    def body(self, model: str, instruction: str) -> dict[str, Any]:
        body = {
            "model": model,
            "messages": [{"role": "user", "content": instruction}],
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "seed": self.seed,
        }
        return body | ({"refine": dict(self.refine)} if self.refine else {})


async def answer_all(
    instructions: Sequence[SystemAnswer],
    endpoint: Endpoint,
    asking: Asking,
    path: Path,
    concurrency: int = 8,
) -> tuple[list[Record], Counter[str]]:
    """The journal's record of every instruction answered, in order, and the failures by reason."""
    items = {
        key_of(json.dumps(asking.body(endpoint.model, item.instruction), sort_keys=True)): item
        for item in instructions
    }

    async def answer(session: Session, item: SystemAnswer) -> Record:
        started = time.perf_counter()
        body = asking.body(endpoint.model, item.instruction)
        reply = await session.post("chat/completions", body)
        seconds = time.perf_counter() - started
        choice = (reply.get("choices") or [{}])[0]
        output = (choice.get("message") or {}).get("content")
        if output is None:
            raise CallFailed("no_content", str(reply)[:200])
        refined = reply.get("refine") or {}
        return {
            "instruction": item.instruction,
            "dataset": item.dataset,
            "output": output,
            "finish_reason": choice.get("finish_reason"),
            "usage": reply.get("usage"),
            "refine": {key: value for key, value in refined.items() if key != "trace"},
            "seconds": round(seconds, 4),
        }

    records, failures = await record_all(items, answer, endpoint, path, concurrency, "answers")
    return list(records.values()), failures
