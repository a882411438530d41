"""Drafting: the first response, or the best of several written and scored side by side."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

from redraft.server.refine import prediction, stopping
from redraft.server.refine.asking import Asker
from redraft.server.refine.candidates import Candidates
from redraft.server.refine.events import DraftDone, Event, PhaseStarted
from redraft.server.refine.phases import Phases, Step
from redraft.server.refine.policy import Policy
from redraft.server.refine.stopping import Stop
from redraft.server.refine.trace import Candidate, ResponseText, StopReason, Trace
from redraft.server.refine.verifying import Verifying


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
        self._predicted: tuple[int, ...] | None = None  # of the draft; of a response's refinement

    async def events(
        self, response: str | None, predicted: str | None, live: bool
    ) -> AsyncIterator[Event]:
        """The draft as it is written, or ``response`` in its place."""
        expected = predicted if response is None else response
        self._predicted = await prediction.tokens_of(self._asker.engine, expected)
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
        return Step(
            "draft",
            self._policy.draft,
            fair_share=share,
            live=live and not refines,
            prediction=self._predicted or (),
        )

    async def told(self, trace: Trace) -> Trace:
        """The trace, with how much of what was predicted its answer has."""
        if self._predicted is None or trace.answer.source == "":
            return trace
        counted = await prediction.told(self._asker.engine, self._predicted, trace.answer)
        return replace(trace, predicted=counted)

    async def _many(self) -> AsyncIterator[Event]:
        """Several drafts side by side."""
        candidates = Candidates(
            self._asker, self._critic, self._policy, self._phases, self._verifying
        )
        async for event in candidates.events(
            [self._asker.draft] * self._policy.drafts, self._step()
        ):
            yield event
        self.stopped = candidates.stopped
        self.malformed, self.failure = candidates.malformed, candidates.failure
        if candidates.written:
            self._pick(list(candidates.written.values()))

    def _pick(self, drafts: list[Candidate]) -> None:
        self.drafts = drafts
        calling = [i for i, draft in enumerate(drafts) if draft.response.tool_calls]
        if calling:
            self.picked, self.stopped = calling[0], "tool_calls"
            return
        self.picked = stopping.best_of(drafts)
