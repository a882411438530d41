"""The tuned model refines its own drafts: the server's loop, each trace kept in the ledger."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from redraft.server.engine.base import Engine, EngineError, Sampling
from redraft.server.refine.adapters import NO_ADAPTERS, AdaptedAsker, PhaseAdapters
from redraft.server.refine.asking import Asker, PromptedAsker, SrtAsker
from redraft.server.refine.events import Finished
from redraft.server.refine.loop import Brief, NoDraft, refine
from redraft.server.refine.policy import Policy
from redraft.server.refine.srt_format import SrtFormat
from redraft.server.refine.trace import Instruction, Trace
from redraft.server.refine.trace_json import read_trace, record_json
from redraft.train.data.ledger import Entry, Ledger, key_of
from redraft.train.data.records import Example
from redraft.train.paid_engine import GivenUp
from redraft.train.progress import bar


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """How the model drafts and refines."""

    iterations: int
    temperature: float  # of drafts; feedback and refinements are greedy (section 4.1)
    max_tokens: int  # of each phase
    seed: int
    scored_last: bool = True  # the last refinement gets a score, too, from a fresh context

    def policy(self, name: str) -> Policy:
        digest = hashlib.sha256(f"{self.seed}/{name}".encode()).digest()
        greedy = Sampling(temperature=0.0, max_tokens=self.max_tokens)
        return Policy(
            max_iterations=self.iterations,
            keep="best" if self.scored_last else "last",
            seed=int.from_bytes(digest[:4], "big") >> 1,
            draft=Sampling(temperature=self.temperature, max_tokens=self.max_tokens),
            feedback=greedy,
            refinement=greedy,
        )


@dataclass(slots=True)
class SelfFeedback:
    """One run of the tuned model over many instructions."""

    engine: Engine
    model: str  # identity of its weights, part of every ledger key
    srt_format: SrtFormat | None  # None: an instruct model, asked by messages
    setting: LoopSettings
    ledger: Ledger
    concurrency: int
    adapters: PhaseAdapters = NO_ADAPTERS  # of the engine, by phase
    reused: int = 0
    failures: list[dict[str, str]] = field(default_factory=list)
    traces: dict[int, Trace] = field(default_factory=dict)

    async def run(self, examples: Sequence[Example]) -> list[Trace]:
        """The traces, in the order of the examples; those that failed are in ``failures``."""
        queue = iter(enumerate(examples))
        with bar(len(examples), "self-feedback", "trace") as progress:
            workers = min(len(examples), self.concurrency)
            await asyncio.gather(*(self._work(queue, progress) for _ in range(workers)))
        return [self.traces[index] for index in sorted(self.traces)]

    async def _work(self, queue: Iterator[tuple[int, Example]], progress: Any) -> None:
        for index, example in queue:
            try:
                self.traces[index] = await self._trace(example)
            except (EngineError, NoDraft, GivenUp) as error:
                self.failures.append({"id": example.id, "reason": str(error)})
            progress.update()

    async def _trace(self, example: Example) -> Trace:
        key = key_of(
            messages=[(m.role, m.content) for m in example.messages],
            model=self.model,
            setting=asdict(self.setting),
            template=self.srt_format.hash if self.srt_format else "prompted",
        )
        if (entry := self.ledger.get(key)) is not None:
            self.reused += 1
            return read_trace(json.loads(entry.text))
        started = time.monotonic()
        trace = await self._loop(example)
        if trace.stop_reason == "engine_failure":
            raise GivenUp(trace.failure or "engine failure")
        usage = trace.usage
        entry = Entry(
            key,
            "trace",
            json.dumps(record_json(trace, token_ids=True)),
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            seconds=round(time.monotonic() - started, 3),
        )
        await self.ledger.append(entry)
        return trace

    async def _loop(self, example: Example) -> Trace:
        instruction = Instruction(example.messages)
        asker: Asker = PromptedAsker(self.engine, instruction)
        if self.srt_format is not None:
            asker = SrtAsker(self.engine, self.srt_format, instruction)
        asker = AdaptedAsker(asker, self.adapters)
        policy = self.setting.policy(example.id)
        async for event in refine(asker, Brief(instruction), policy, request_id=example.id):
            if isinstance(event, Finished):
                return event.trace
        raise AssertionError("a loop ends with Finished or an error")
