"""Service: runs jobs on the engines. Everything between a parsed request and its events.

A route makes a Job; ``Service.run`` admits it, runs its loop, yields the events, updates the
metrics and the trace store, and keeps the interrupt of every running loop for a drain.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field

from redraft.server.admission import Admission, RateLimits, Rejected
from redraft.server.config import ServerConfig
from redraft.server.engine.base import EngineUnavailable
from redraft.server.model import ServedModel
from redraft.server.refine.asking import Asker
from redraft.server.refine.bound import within
from redraft.server.refine.events import Event, Finished
from redraft.server.refine.interrupt import Interrupt
from redraft.server.refine.loop import Brief, refine
from redraft.server.refine.policy import Policy
from redraft.server.refine.trace import Phase, PhaseTotals
from redraft.server.telemetry.metrics import LoopMetrics, Metrics
from redraft.server.telemetry.traces import TraceStore

log = logging.getLogger("redraft")

ENDING_S = 10.0  # for an interrupted loop to answer with its best response


@dataclass(frozen=True, slots=True)
class Job:
    """One instruction to be answered, with every option decided."""

    brief: Brief
    policy: Policy
    request_id: str
    route: str  # for the metrics: "chat", "completions", "refine", "feedback"
    client: str = "anonymous"  # whose share of the server it takes
    critic: str | None = None  # the name of a configured engine
    deadline_ms: int | None = None
    live: bool = False  # the answer is streamed
    traceparent: str | None = None  # the caller's trace, for the engine's own telemetry
    asker: Asker | None = None  # in place of the model's own
    model: ServedModel | None = None  # None: the one served by default
    totals: dict[Phase, PhaseTotals] = field(default_factory=dict)  # filled while the loop runs


class Draining(EngineUnavailable):
    """The server is shutting down and takes no new work."""

    def __init__(self) -> None:
        super().__init__("the server is shutting down; send the request again")


@dataclass
class Service:
    model: ServedModel
    critics: Mapping[str, ServedModel] = field(default_factory=dict)
    admission: Admission = field(default_factory=lambda: Admission(ServerConfig()))
    metrics: Metrics = field(default_factory=Metrics)
    traces: TraceStore | None = None
    rates: RateLimits = field(default_factory=lambda: RateLimits(ServerConfig()))
    draining: bool = False
    others: tuple[ServedModel, ...] = ()  # served by their own names: adapters on the engine
    _running: set[Interrupt] = field(default_factory=set)
    _idle: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.admission.report_to(self.metrics)
        if self.traces:
            self.traces.report_to(self.metrics.trace)

    @property
    def models(self) -> dict[str, ServedModel]:
        """Every model a request may name."""
        return {served.name: served for served in (self.model, *self.others)}

    async def run(self, job: Job) -> AsyncGenerator[Event, None]:
        """The events of one job. Closing it ends the engine's work at once."""
        instruction, model = job.brief.instruction, job.model or self.model
        async with self.place(job.route, job.client, job.deadline_ms) as (interrupt, watch):
            watch.totals = job.totals
            critic = self.critics[job.critic] if job.critic else None
            window = max(writer.engine.window for writer in (model, critic or model))
            left, drafts = self.rates.left(job.client), job.brief.response is None
            events = refine(
                job.asker or model.asker(instruction),
                job.brief,
                within(job.policy, window, left, drafts),
                critic=critic.asker(instruction) if critic else None,
                interrupt=interrupt,
                request_id=job.request_id,
                traceparent=job.traceparent,
                live=job.live,
                totals=job.totals,
            )
            async with aclosing(events):
                async for event in events:
                    watch.observe(event)
                    if self.traces and isinstance(event, Finished):
                        self.traces.append(job.request_id, model.name, event.trace)
                    yield event

    @asynccontextmanager
    async def place(
        self, route: str, client: str, deadline_ms: int | None
    ) -> AsyncIterator[tuple[Interrupt, LoopMetrics]]:
        """A place for one loop, or for one request in direct mode: both are admitted and counted
        alike, and a drain waits for both."""
        if self.draining:
            raise Draining
        try:
            self.rates.take(client)
        except Rejected as rejection:
            self.metrics.rejected(rejection.reason)
            raise
        interrupt = Interrupt(deadline_ms)  # the time spent in the queue counts
        watch = self.metrics.loop(route)
        async with self.admission.place(client, interrupt):
            if self.draining:
                raise Draining
            self._running.add(interrupt)
            self._idle.clear()
            try:
                with watch.running():
                    yield interrupt, watch
            finally:
                self.rates.spend(client, watch.tokens)
                self.metrics.client(client, watch.tokens)
                self._running.discard(interrupt)
                if not self._running:
                    self._idle.set()

    async def drain(self, grace_s: float) -> None:
        """Refuse new work and wait for running loops; after ``grace_s`` end them with the best
        response so far. Returns when none runs, at the latest ``ENDING_S`` after that."""
        self.draining = True
        self.admission.dismiss(Draining)
        if not self._running:
            return
        try:
            await asyncio.wait_for(self._idle.wait(), grace_s)
        except TimeoutError:
            for interrupt in self._running:
                interrupt.cut("draining")
            try:
                await asyncio.wait_for(self._idle.wait(), ENDING_S)
            except TimeoutError:
                log.error("%d loops do not end; the server stops without them", self.running)

    @property
    def running(self) -> int:
        return len(self._running)
