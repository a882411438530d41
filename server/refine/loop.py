"""The loop: draft -> feedback -> refinement -> stop?

    async for event in refine(asker, brief, policy): ...

Once there is a draft, every failure ends with Finished, which has the best response so far and the
reason. Without a draft the loop raises NoDraft or the engine's error.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, replace

from redraft.server.engine.base import EngineError, Message, PromptTooLong
from redraft.server.refine import prediction, stopping
from redraft.server.refine.asking import Asker
from redraft.server.refine.bound import bound_of
from redraft.server.refine.breath import Breath
from redraft.server.refine.checks import Finding
from redraft.server.refine.checks.report import beside, feedback_of, lines_of
from redraft.server.refine.combining import Combining
from redraft.server.refine.drafting import Drafting
from redraft.server.refine.events import (
    Delta,
    Event,
    FeedbackDone,
    FeedbackRejected,
    Finished,
    PhaseStarted,
    RefinementDone,
)
from redraft.server.refine.extracting import with_extracted
from redraft.server.refine.feedback import callers_feedback
from redraft.server.refine.interrupt import Interrupt
from redraft.server.refine.phases import Phases, Step
from redraft.server.refine.policy import FEEDBACK_ATTEMPTS, Policy
from redraft.server.refine.srt_format import FormatError
from redraft.server.refine.stopping import Stop
from redraft.server.refine.trace import (
    Candidate,
    Feedback,
    Instruction,
    Iteration,
    Phase,
    PhaseTotals,
    ResponseText,
    StopReason,
    Trace,
)
from redraft.server.refine.verifying import Verifying
from redraft.server.refine.voting import Voting


class NoDraft(Exception):
    """The loop was interrupted before there was anything to answer with."""

    def __init__(self, reason: StopReason) -> None:
        super().__init__(f"no draft: {reason}")
        self.reason: StopReason = reason


@dataclass(frozen=True, slots=True)
class Brief:
    """What the caller brings: an instruction, maybe a response to improve, maybe feedback."""

    instruction: Instruction
    response: str | None = None
    feedback: str | None = None
    prediction: str | None = None  # of the draft, where no response is given

    @classmethod
    def text(cls, instruction: str) -> Brief:
        return cls(Instruction((Message("user", instruction),)))


async def refine(
    asker: Asker,
    brief: Brief,
    policy: Policy,
    *,
    critic: Asker | None = None,
    interrupt: Interrupt | None = None,
    request_id: str = "refine",
    traceparent: str | None = None,
    live: bool = False,
    totals: dict[Phase, PhaseTotals] | None = None,
) -> AsyncGenerator[Event, None]:
    """Answer one instruction. ``critic`` writes the feedback, the asker itself when it is None.

    ``live``: the answer is streamed, so the deltas of a refinement that nothing can follow are
    part of it, and it stays the answer even when it is cut short. ``totals`` is filled while the
    loop runs, so that its cost is known even if it is cancelled."""
    interrupt = interrupt or Interrupt()
    breath = Breath(policy, alone=critic is None and brief.feedback is None)
    phases = Phases(policy, interrupt, request_id, 0, totals, traceparent, breath)
    critic = critic or asker
    window = max(asker.engine.window, critic.engine.window)
    bound = bound_of(policy, window, drafts=brief.response is None)
    if policy.extract_checks:
        policy = await with_extracted(policy, asker.engine, phases, brief.instruction)
    verifying = Verifying(policy.checks, brief.instruction, interrupt)
    drafting = Drafting(asker, critic, policy, phases, verifying)
    try:
        async for event in drafting.events(brief.response, brief.prediction, live):
            yield event
        if not drafting.drafts:
            raise NoDraft(drafting.stopped or "engine_failure")
        loop = _Iterations(asker, critic, brief, policy, phases, drafting, verifying, live)
        try:
            if drafting.stopped:
                raise Stop(drafting.stopped)
            for iteration in range(1, policy.max_iterations + 1):
                if reason := stopping.before_feedback(policy, loop.findings):
                    raise Stop(reason)
                async for event in loop.feedback(iteration):
                    yield event
                if reason := stopping.after_feedback(
                    policy, loop.scores, loop.findings, loop.votes
                ):
                    raise Stop(reason)
                async for event in loop.refinement(iteration):
                    yield event
                if reason := loop.after_refinement(iteration):
                    raise Stop(reason)
            if reason := stopping.before_feedback(policy, loop.findings):
                raise Stop(reason)
            if stopping.needs_scoring(policy, loop.scores):
                async for event in loop.feedback(policy.max_iterations + 1):
                    yield event
        except (Stop, EngineError) as end:
            loop.ended(end)
    finally:  # closing the generator ends the engines' work
        await phases.close()
    trace = replace(loop.trace(), bound=bound.tokens, bound_by=bound.by)
    yield Finished(await drafting.told(trace))


class _Iterations:
    """The state of one loop after drafting: responses and scores so far, and why it ended."""

    def __init__(
        self,
        asker: Asker,
        critic: Asker,
        brief: Brief,
        policy: Policy,
        phases: Phases,
        drafting: Drafting,
        verifying: Verifying,
        live: bool,
    ) -> None:
        self._asker, self._critic = asker, critic
        self._brief, self._policy, self._phases = brief, policy, phases
        self._drafting, self._verifying, self._live = drafting, verifying, live
        self._draft = drafting.drafts[drafting.picked]
        self._iterations: list[Iteration] = []
        self.responses: list[ResponseText] = [self._draft.response]
        self.scores: list[float | None] = [None]  # one for each of responses
        self._reason: StopReason = "max_iterations"
        self._malformed = drafting.malformed
        self._failure = drafting.failure
        self._committed = False  # the last response has been streamed as the answer
        self._combining: Combining | None = None
        if policy.combine == "candidates":
            self._combining = Combining(asker, critic, policy, phases, verifying, drafting.drafts)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Of the checks, in the last response."""
        return self.responses[-1].findings

    @property
    def votes(self) -> tuple[int | None, ...]:
        """The scores of each vote on the last response, where the majority decides."""
        return tuple(vote.score for vote in self._iterations[-1].feedback.votes)

    async def feedback(self, iteration: int) -> AsyncIterator[Event]:
        """Feedback on the last response; retried once when it is malformed."""
        feedback = self._ready_feedback(iteration)
        attempt = 0
        while feedback is None:
            attempt += 1
            yield PhaseStarted("feedback", iteration)
            if self.findings and attempt == 1:
                yield Delta("feedback", iteration, f"{lines_of(self.findings)}\n\n")
            step = Step("feedback", self._policy.feedback, iteration, attempt, fair_share=2)
            voting = Voting(
                self._critic, self._phases, self.responses[-1], self._policy.feedback_votes
            )
            async with voting.votes(step) as first:
                async for delta in first:
                    yield delta
            try:
                feedback = voting.feedback()
            except FormatError as error:
                yield FeedbackRejected(iteration, voting.seen, str(error))
                if attempt == FEEDBACK_ATTEMPTS:
                    raise Stop("malformed_feedback") from error
            finally:
                self._malformed += voting.malformed
                self._failure = voting.failure or self._failure
        self._iterations.append(Iteration(feedback))
        self.scores[-1] = feedback.rating
        yield FeedbackDone(iteration, feedback)

    def _ready_feedback(self, iteration: int) -> Feedback | None:
        """Feedback that needs no engine: the caller's, the one that ranked the drafts, or what the
        checks find."""
        if iteration == 1 and self._brief.feedback is not None:
            return beside(self.findings, callers_feedback(self._brief.feedback))
        if iteration == 1 and self._draft.feedback is not None:
            return self._draft.feedback
        if self._combining and iteration <= self._policy.max_iterations:
            return self._combining.best.feedback or Feedback("")
        match self._policy.feedback_by:
            case "checks":
                return feedback_of(self.findings)
            case "off":
                return Feedback("")
        return None

    async def refinement(self, iteration: int) -> AsyncIterator[Event]:
        """The last response, rewritten from the feedback on it, or several candidates combined."""
        if self._combining and iteration < self._policy.max_iterations:
            async for event in self._candidates(iteration, self._combining):
                yield event
            return
        yield PhaseStarted("refinement", iteration)
        last = iteration == self._policy.max_iterations and self._policy.keep == "last"
        sampling, live = self._policy.refinement, self._live and last
        expected = await prediction.of_refinement(self._asker.engine, self.responses[-1])
        step = Step("refinement", sampling, iteration, live=live, prediction=expected)
        if self._combining:
            ask = await self._combining.ask(iteration)
        else:
            ask = await self._asker.refinement(self.responses[-1], self._iterations[-1].feedback)
        try:
            async for delta in self._phases.stream(self._asker.engine, ask, step):
                self._committed = step.live
                yield delta
            if not self._committed:
                self._phases.check_budget()
        except (EngineError, Stop):
            if self._committed:
                self._add(await self._verifying.verified(self._phases.written))
            raise
        refinement = await self._verifying.verified(self._phases.written)
        self._add(refinement)
        yield RefinementDone(iteration, refinement)
        if self._verifying.stopped:
            raise Stop(self._verifying.stopped)
        self._phases.check_budget()

    async def _candidates(self, iteration: int, combining: Combining) -> AsyncIterator[Event]:
        """The candidates of all iterations but the last; the best of them is its refinement."""
        async for event in combining.candidates(iteration):
            yield event
        if combining.wrote:
            self._add(combining.best.response, combining.population)
            yield RefinementDone(iteration, combining.best.response)
        if combining.stopped:
            raise Stop(combining.stopped)

    def after_refinement(self, iteration: int) -> StopReason | None:
        if self._combining and iteration < self._policy.max_iterations:
            return "no_change" if self._combining.repeats else None
        return stopping.after_refinement(self.responses)

    def _add(self, refinement: ResponseText, candidates: tuple[Candidate, ...] = ()) -> None:
        left_out = self._combining.left_out if self._combining else ()
        feedback = self._iterations[-1].feedback
        self._iterations[-1] = Iteration(feedback, refinement, candidates, left_out)
        self.responses.append(refinement)
        self.scores.append(None)

    def ended(self, end: Stop | EngineError) -> None:
        """Record why the loop ended before its last iteration."""
        if isinstance(end, Stop):
            self._reason = end.reason
            return
        # The model's window is a token budget, too.
        self._reason = "token_budget" if isinstance(end, PromptTooLong) else "engine_failure"
        self._failure = end.told

    def trace(self) -> Trace:
        combining = self._combining
        chosen = stopping.kept(self._policy.keep, self.responses, self.scores)
        trace = Trace(
            instruction=self._brief.instruction,
            drafts=tuple(self._drafting.drafts),
            picked=self._drafting.picked,
            iterations=tuple(self._iterations),
            kept=len(self.responses) - 1 if self._committed else chosen,
            stop_reason=self._reason,
            totals=self._phases.totals,
            malformed=self._malformed + (combining.malformed if combining else 0),
            failure=self._failure or (combining.failure if combining else None),
            verified=self._policy.verifies,
        )
        return stopping.voted(trace) if self._policy.keep == "vote" else trace
