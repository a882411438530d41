"""Candidates: responses written side by side, each with feedback of its own.

The first is seen while it is written; the others would mix with it, so each is told when it is
complete, in their order. One that fails costs only itself. When time runs short those that are not
done are ended, and the loop goes on with those there are.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence

from redraft.server.engine.base import EngineError
from redraft.server.refine.asking import Ask, Asker
from redraft.server.refine.checks.report import feedback_of
from redraft.server.refine.events import (
    CandidateDone,
    Delta,
    DraftDone,
    Event,
    PhaseStarted,
    Thought,
    ToolCallsDelta,
)
from redraft.server.refine.phases import Phases, Step
from redraft.server.refine.policy import Policy
from redraft.server.refine.srt_format import FormatError
from redraft.server.refine.stopping import Stop
from redraft.server.refine.trace import Candidate, Feedback, ResponseText, StopReason
from redraft.server.refine.verifying import Verifying
from redraft.server.refine.voting import Voting

Asking = Callable[[], Awaitable[Ask]]
Told = asyncio.Queue[Delta | Thought | int]  # what is seen of the first; the index of one that ends


class Candidates:
    """``malformed`` and ``failure`` are of what was written in vain."""

    def __init__(
        self, asker: Asker, critic: Asker, policy: Policy, phases: Phases, verifying: Verifying
    ) -> None:
        self._asker, self._critic = asker, critic
        self._policy, self._phases, self._verifying = policy, phases, verifying
        self._written: dict[int, Candidate] = {}  # without its feedback until that is there
        self._failures: dict[int, EngineError] = {}
        self._stops: list[StopReason] = []
        self._next = 0  # the index of the candidate that is told next
        self.malformed = 0
        self.failure: str | None = None

    @property
    def written(self) -> dict[int, Candidate]:
        """Those there are, by their index."""
        return {index: self._written[index] for index in sorted(self._written)}

    @property
    def stopped(self) -> StopReason | None:
        """Why the loop is to end with what there is. A candidate that spent its share of the
        tokens ends alone where one share is left for the answer."""
        shared = self._policy.combine == "candidates" and self._written
        stops = [stop for stop in self._stops if not (shared and stop == "token_budget")]
        return stops[-1] if stops else None

    async def events(self, asks: Sequence[Asking], step: Step) -> AsyncIterator[Event]:
        """Write a candidate for each of ``asks``; an error when all of them failed."""
        told: Told = asyncio.Queue()
        until = self._until(step)
        ended: set[int] = set()
        yield PhaseStarted(step.phase, step.iteration, candidate=0)
        with self._phases.split(len(asks), drafts=True) as shares:
            tasks = [
                share.spawn(self._candidate(index, ask, share, step, told))
                for index, (ask, share) in enumerate(zip(asks, shares, strict=True))
            ]
            while len(ended) < len(tasks):
                item = await self._item(told, until)
                if item is None:
                    break
                if isinstance(item, int):
                    ended.add(item)
                    for event in self._complete(ended, step):
                        yield event
                else:
                    yield item
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
        for end in ends:
            if isinstance(end, Exception):
                raise end
        for event in self._complete(set(range(len(tasks))), step):
            yield event
        if self._failures:
            first = self._failures[min(self._failures)]
            if not (self._written or self._stops):
                raise first
            self.failure = self.failure or first.told

    def _until(self, step: Step) -> float | None:
        """The time at which to go on with those there are: an equal part of what is left for each
        iteration to come; None where nothing comes or there is no deadline."""
        to_come = self._policy.max_iterations - step.iteration
        left = self._phases.remaining_s()
        if left is None or to_come < 1:
            return None
        return asyncio.get_running_loop().time() + left / (1 + to_come)

    async def _item(self, told: Told, until: float | None) -> Delta | Thought | int | None:
        """What is told next; None when time runs short and there is something to go on with."""
        if until is None or not self._written:
            return await told.get()
        try:
            async with asyncio.timeout_at(until):
                return await told.get()
        except TimeoutError:
            return None

    def _complete(self, ended: set[int], step: Step) -> Iterator[Event]:
        """The candidates that can be told now."""
        while self._next in ended:
            index, candidate = self._next, self._written.get(self._next)
            self._next += 1
            if candidate is not None and step.phase == "draft":
                yield DraftDone(candidate, index)
            elif candidate is not None:
                yield CandidateDone(step.iteration, candidate, index)

    async def _candidate(
        self, index: int, ask: Asking, phases: Phases, step: Step, told: Told
    ) -> None:
        try:
            async for piece in phases.stream(self._asker.engine, await ask(), step):
                if index == 0 and not isinstance(piece, ToolCallsDelta):
                    told.put_nowait(piece)
            await self._judge(index, phases, step)
        except EngineError as error:
            self._failures[index] = error
        except Stop as stop:
            self._stops.append(stop.reason)
            if phases.written.text:
                self._written[index] = Candidate(await self._verifying.verified(phases.written))
        finally:
            told.put_nowait(index)

    async def _judge(self, index: int, phases: Phases, step: Step) -> None:
        response = phases.written
        if not response.tool_calls:
            response = await self._verifying.verified(response)
        self._written[index] = Candidate(response)
        feedback: Feedback | None = None
        if response.tool_calls or self._policy.feedback_by == "off":
            return
        if self._policy.feedback_by == "checks":
            feedback = feedback_of(response.findings)
        else:
            feedback = await self._feedback(phases, response, step.iteration + 1)
        self._written[index] = Candidate(response, feedback)

    async def _feedback(
        self, phases: Phases, response: ResponseText, iteration: int
    ) -> Feedback | None:
        """The critic's, beside what the checks find; None when it failed."""
        step = Step("feedback", self._policy.feedback, iteration, fair_share=2)
        voting = Voting(self._critic, phases, response, self._policy.feedback_votes)
        try:
            return await voting.whole(step)
        except FormatError:
            pass
        except Stop as stop:
            self._stops.append(stop.reason)
        except EngineError as error:  # the others may still get their scores
            self.failure = error.told
        finally:
            self.malformed += voting.malformed
            self.failure = voting.failure or self.failure
        return None
