"""Drafting: the first response, or the best of several written and scored side by side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from redraft.server.engine.base import EngineError
from redraft.server.refine import stopping
from redraft.server.refine.asking import Asker
from redraft.server.refine.checks.report import feedback_of
from redraft.server.refine.events import DraftDone, Event, PhaseStarted
from redraft.server.refine.phases import Phases, Step
from redraft.server.refine.policy import Policy
from redraft.server.refine.srt_format import FormatError
from redraft.server.refine.stopping import Stop
from redraft.server.refine.trace import Candidate, Feedback, ResponseText, StopReason
from redraft.server.refine.verifying import Verifying
from redraft.server.refine.voting import Voting


class Drafting:
    """Fills ``drafts`` and ``picked``; ``stopped`` is why it ended early, None if it did not."""

    def __init__(
        self, asker: Asker, critic: Asker, policy: Policy, phases: Phases, verifying: Verifying
    ) -> None:
        self._asker, self._critic = asker, critic
        self._policy, self._phases, self._verifying = policy, phases, verifying
        self.drafts: list[Candidate] = []
        self.picked = 0
        self.stopped: StopReason | None = None
        self.malformed = 0
        self.failure: str | None = None

    async def events(self, response: str | None, live: bool) -> AsyncIterator[Event]:
        """The draft as it is written, or ``response`` in its place."""
        if response is not None:
            self.drafts = [Candidate(await self._verifying.verified(ResponseText(response)))]
            self.stopped = self._verifying.stopped
            yield DraftDone(self.drafts[0])
            return
        if self._policy.drafts > 1:
            async for event in self._many():
                yield event
            return
        yield PhaseStarted("draft", 0)
        try:
            ask = await self._asker.draft()
            async for delta in self._phases.stream(self._asker.engine, ask, self._step(live)):
                yield delta
        except Stop as stop:
            self.stopped = stop.reason
            if not (self._phases.written.text or self._phases.written.tool_calls):
                return
        self.drafts = [Candidate(await self._verifying.verified(self._phases.written))]
        self.stopped = self.stopped or self._verifying.stopped
        if self.stopped is None and self._phases.written.tool_calls:
            self.stopped = "tool_calls"
        yield DraftDone(self.drafts[0])

    def _step(self, live: bool = False) -> Step:
        refines = self._policy.refines
        share = 3 if refines else 1  # leave room for feedback and refinement
        return Step("draft", self._policy.draft, fair_share=share, live=live and not refines)

    async def _many(self) -> AsyncIterator[Event]:
        """Several drafts side by side, an event for each when it is done: without deltas, which
        would mix."""
        candidates: dict[int, Candidate] = {}
        failures: list[EngineError] = []
        with self._phases.split(self._policy.drafts, drafts=True) as shares:
            tasks = [share.spawn(self._candidate(i, share)) for i, share in enumerate(shares)]
            for ready in asyncio.as_completed(tasks):
                try:
                    index, candidate = await ready
                except EngineError as error:
                    failures.append(error)
                except Stop as stop:
                    self.stopped = stop.reason
                else:
                    candidates[index] = candidate
                    yield DraftDone(candidate, index)
        if candidates:
            self._pick([candidates[index] for index in sorted(candidates)])
        elif self.stopped is None:
            raise failures[0]

    def _pick(self, drafts: list[Candidate]) -> None:
        self.drafts = drafts
        calling = [i for i, draft in enumerate(drafts) if draft.response.tool_calls]
        if calling:
            self.picked, self.stopped = calling[0], "tool_calls"
            return
        scores = [c.feedback.rating if c.feedback else None for c in drafts]
        if self._policy.checks or any(score is not None for score in scores):
            self.picked = stopping.kept("best", [c.response for c in drafts], scores)

    async def _candidate(self, index: int, phases: Phases) -> tuple[int, Candidate]:
        try:
            ask = await self._asker.draft()
            response = await phases.whole(self._asker.engine, ask, self._step())
        except Stop as stop:
            if not phases.written.text:
                raise
            self.stopped = stop.reason
            return index, Candidate(await self._verifying.verified(phases.written))
        if response.tool_calls:
            return index, Candidate(response)
        response = await self._verifying.verified(response)
        if self._verifying.stopped:
            self.stopped = self._verifying.stopped
            return index, Candidate(response)
        if self._policy.feedback_by != "model":
            by_checks = self._policy.feedback_by == "checks"
            return index, Candidate(response, feedback_of(response.findings) if by_checks else None)
        return index, Candidate(response, await self._feedback(phases, response))

    async def _feedback(self, phases: Phases, response: ResponseText) -> Feedback | None:
        """The critic's, beside what the checks find; None when it failed."""
        step = Step("feedback", self._policy.feedback, iteration=1, fair_share=2)
        voting = Voting(self._critic, phases, response, self._policy.feedback_votes)
        try:
            return await voting.whole(step)
        except FormatError:
            pass
        except Stop as stop:
            self.stopped = stop.reason
        except EngineError as error:  # the others may still get their scores
            self.failure = error.told
        finally:
            self.malformed += voting.malformed
            self.failure = voting.failure or self.failure
        return None
