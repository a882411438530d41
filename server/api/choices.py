"""Choices: ``n`` answers to one request, each by a loop of its own.

The loops run at the same time and have their prompts' prefix in common, which the engine's cache
keeps once. Each is admitted and counted by itself, and has a seed of its own. One that fails does
not cost the others: it is left out of the answer, and a warning says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Protocol

from starlette.requests import Request

from redraft.server.admission import Rejected
from redraft.server.api import outcome
from redraft.server.api.decide import Decision
from redraft.server.api.errors import ApiError, describe, invalid
from redraft.server.api.schema.answers import UsageAnswer
from redraft.server.api.sse import Connected, finished, trace_of
from redraft.server.api.warnings import warn
from redraft.server.config import ServerConfig
from redraft.server.engine.base import EngineError
from redraft.server.refine.events import Event
from redraft.server.refine.loop import NoDraft
from redraft.server.refine.trace import Trace
from redraft.server.service import Job, Service

Failure = ApiError | EngineError | NoDraft | Rejected
FAILURES = (ApiError, EngineError, NoDraft, Rejected)
AHEAD = 16  # chunks of all choices that may wait for a slow reader


def check(n: int | None, config: ServerConfig) -> None:
    if n is not None and n > config.max_choices_cap:
        raise invalid("n", f"n is {n}; this server allows {config.max_choices_cap} at most")


def forwarded(n: int | None, decision: Decision, service: Service) -> bool:
    """Whether the engine's own layer makes the choices, which it can when nothing is refined."""
    return (n or 1) > 1 and not decision.policy.refines and service.model.direct is not None


def jobs_of(job: Job, n: int | None) -> list[Job]:
    """The jobs of ``n`` choices; the first is ``job`` itself."""
    if n is None or n == 1:
        return [job]
    return [_choice(job, index) for index in range(n)]


def _choice(job: Job, index: int) -> Job:
    seed = None if job.policy.seed is None else job.policy.seed + index
    policy = replace(job.policy, seed=seed)
    return replace(job, request_id=f"{job.request_id}-{index}", policy=policy, totals={})


async def traces_of(
    request: Request, runs: Sequence[AsyncGenerator[Event, None]]
) -> dict[int, Trace]:
    """The trace of each choice, by its index, if the client waits for it. Raises if all failed."""
    if len(runs) == 1:
        return {0: await finished(request.receive, runs[0])}
    traces: dict[int, Trace] = {}
    failures: dict[int, Failure] = {}

    async def run(index: int, events: AsyncGenerator[Event, None]) -> None:
        async with aclosing(events):
            try:
                traces[index] = await trace_of(events)
            except FAILURES as failure:
                failures[index] = failure

    async with Connected(request.receive), asyncio.TaskGroup() as group:
        for index, events in enumerate(runs):
            group.create_task(run(index, events))
    if not traces:
        raise failures[0]
    for index, failure in sorted(failures.items()):
        message = describe(failure).message
        warn(request, f"choice {index} of {len(runs)} failed and is left out: {message}")
    return dict(sorted(traces.items()))


class ChoiceStream(Protocol):
    """The chunks of one choice."""

    trace: Trace | None

    def chunks(self, events: AsyncGenerator[Event, None]) -> AsyncGenerator[bytes, None]: ...

    def failed(self, failure: Exception) -> bytes:
        """Its last chunk when it has failed."""
        ...

    def ending(self, usage: UsageAnswer) -> bytes:
        """What comes after the last choice."""
        ...


def numbered(jobs: Sequence[Job]) -> Iterator[tuple[int | None, Job]]:
    """Each job with the index of its choice; None for the only one."""
    for index, job in enumerate(jobs):
        yield (index if len(jobs) > 1 else None), job


def chunks_of(
    streams: Sequence[ChoiceStream],
    runs: Sequence[AsyncGenerator[Event, None]],
    jobs: Sequence[Job],
) -> AsyncGenerator[bytes, None]:
    if len(streams) == 1:
        return streams[0].chunks(runs[0])
    return _interleaved(streams, runs, jobs)


async def _interleaved(
    streams: Sequence[ChoiceStream],
    runs: Sequence[AsyncGenerator[Event, None]],
    jobs: Sequence[Job],
) -> AsyncGenerator[bytes, None]:
    """The chunks of all choices as they come; raises if all fail before the first."""
    waiting: asyncio.Queue[bytes | None] = asyncio.Queue(AHEAD)
    failures: list[tuple[ChoiceStream, Failure]] = []
    begun = False

    async def pump(stream: ChoiceStream, events: AsyncGenerator[Event, None]) -> None:
        try:
            async with aclosing(stream.chunks(events)) as chunks:
                async for chunk in chunks:
                    await waiting.put(chunk)
        except FAILURES as failure:
            failures.append((stream, failure))
        await waiting.put(None)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(pump(*pair)) for pair in zip(streams, runs, strict=True)]
        try:
            left = len(tasks)
            while left:
                chunk = await waiting.get()
                if chunk is None:
                    left -= 1
                else:
                    begun = True
                    yield chunk
        finally:
            for task in tasks:
                task.cancel()
    if failures and not begun:
        raise failures[0][1]
    for stream, failure in failures:
        yield stream.failed(failure)
    traces = [stream.trace for stream in streams if stream.trace is not None]
    yield streams[0].ending(outcome.usage_of_choices(jobs, traces))
