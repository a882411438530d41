"""Answers to instructions from any OpenAI-compatible server, kept in a journal: a run that was
stopped goes on where it stopped, and what failed is asked again."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from redraft.benchmarks.load.endpoint import CallFailed, Endpoint, Session
from redraft.benchmarks.load.pool import work_through
from redraft.benchmarks.output.journal import Journal, Record
from redraft.benchmarks.winrates.alpaca import SystemAnswer


@dataclass(frozen=True, slots=True)
class Asking:
    """How a system is asked; part of what names its answers in the journal."""

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
    keys = {item.instruction: _key(endpoint, asking, item.instruction) for item in instructions}
    with Journal(path) as journal:
        async with endpoint.session() as session:

            async def one(item: SystemAnswer) -> None:
                journal.add(keys[item.instruction], await _answer(session, asking, item))

            missing = [item for item in instructions if keys[item.instruction] not in journal]
            failures = await work_through(missing, one, concurrency, "answers")
        answered = [journal.records[key] for key in keys.values() if key in journal]
    return answered, failures


async def _answer(session: Session, asking: Asking, item: SystemAnswer) -> Record:
    started = time.perf_counter()
    body = asking.body(session.endpoint.model, item.instruction)
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


def _key(endpoint: Endpoint, asking: Asking, instruction: str) -> str:
    parts = json.dumps(asking.body(endpoint.model, instruction), sort_keys=True)
    return hashlib.sha256(parts.encode()).hexdigest()[:24]
