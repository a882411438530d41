"""The record of one answered instruction: responses, feedback, iterations, and why it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from redraft.server.engine.base import PLAIN, ChatOptions, FinishReason, Json, Message, Usage
from redraft.server.engine.tool_calls import ToolCall
from redraft.server.refine.checks import Finding, score_of

Phase = Literal["draft", "feedback", "refinement"]
StopReason = Literal[
    "good_enough",
    "checks_passed",
    "max_iterations",
    "no_change",
    "no_gain",
    "tool_calls",
    "token_budget",
    "deadline",
    "malformed_feedback",
    "engine_failure",
    "draining",
]
# What a loop may cost at most; the last is what is left to the API key.
Limit = Literal["token_budget", "max_completion_tokens", "tokens_per_minute"]


@dataclass(frozen=True, slots=True)
class Instruction:
    """The user's conversation, whose last user turn is to be answered, and what else its answer
    may be made of."""

    messages: tuple[Message, ...]
    options: ChatOptions = PLAIN


@dataclass(frozen=True, slots=True)
class ResponseText:
    """A text offered as the answer at some iteration."""

    text: str
    token_ids: tuple[int, ...] = ()
    source: str = ""  # the engine that generated it; "" when the caller wrote it
    finish_reason: FinishReason = "stop"  # "length": cut short
    tokens: int = 0  # completion tokens spent on it, not on thoughts; 0 when the caller wrote it
    thought: str = ""  # what a reasoning model thought before it
    tool_calls: tuple[ToolCall, ...] = ()  # with them a draft is the answer, as it is
    logprobs: tuple[Json, ...] = ()  # of its tokens, where they were asked for
    findings: tuple[Finding, ...] = ()  # of the checks; empty where there are none


@dataclass(frozen=True, slots=True)
class Feedback:
    """Weaknesses, suggestions and a score, on one response."""

    text: str
    token_ids: tuple[int, ...] = ()
    source: str = ""
    score: int | None = None  # 1 (worst) to 10; None: it has none, or was malformed
    weaknesses: str = ""
    suggestions: str = ""
    thought: str = ""
    votes: tuple[Feedback, ...] = ()  # where several were asked for; those without score are void

    @property
    def rating(self) -> float | None:
        """The score, unrounded where it is the mean of votes."""
        counted = [vote.score for vote in self.votes if vote.score is not None]
        return sum(counted) / len(counted) if counted else self.score


@dataclass(frozen=True, slots=True)
class Candidate:
    """One of the responses that are compared or combined; feedback only where there are several."""

    response: ResponseText
    feedback: Feedback | None = None


@dataclass(frozen=True, slots=True)
class Iteration:
    """One feedback and, unless the loop stopped on it, one refinement."""

    feedback: Feedback
    refinement: ResponseText | None = None
    candidates: tuple[Candidate, ...] = ()  # where several were written: refinement is their best
    left_out: tuple[int, ...] = ()  # the candidates before them that the window had no room for


@dataclass(frozen=True, slots=True)
class PhaseTotals:
    """The cost of one kind of phase over the whole loop."""

    usage: Usage = field(default_factory=Usage)
    seconds: float = 0.0
    repeated: int = 0  # texts that ended because they repeated themselves

    def __add__(self, other: PhaseTotals) -> PhaseTotals:
        return PhaseTotals(
            self.usage + other.usage,
            self.seconds + other.seconds,
            self.repeated + other.repeated,
        )


@dataclass(frozen=True, slots=True)
class Predicted:
    """The tokens of a prediction, by whether the answer has them."""

    accepted: int
    rejected: int


@dataclass(frozen=True, slots=True)
class Trace:
    """The record of one loop. ``kept`` indexes ``responses``."""

    instruction: Instruction
    drafts: tuple[Candidate, ...]
    picked: int  # the index of the draft that was refined
    iterations: tuple[Iteration, ...]
    kept: int  # 0 = the draft, k = the k-th refinement
    stop_reason: StopReason
    totals: Mapping[Phase, PhaseTotals] = field(default_factory=dict)
    malformed: int = 0  # feedback texts that could not be read, retried ones included
    failure: str | None = None  # what the engine said to a call that it failed
    kept_candidate: int | None = None  # the answer's place, where it is another of several there
    bound: int | None = None  # the most completion tokens it could have cost
    bound_by: Limit | None = None  # the limit that made them fewer
    predicted: Predicted | None = None  # where something was, and the engine made use of it
    verified: bool = False  # its responses have findings: checks were asked for, if none was found

    @property
    def draft(self) -> ResponseText:
        return self.drafts[self.picked].response

    @property
    def responses(self) -> tuple[ResponseText, ...]:
        refinements = (i.refinement for i in self.iterations if i.refinement is not None)
        return (self.draft, *refinements)

    @property
    def refinements(self) -> int:
        """How many were written: one less than the iterations when the last has only feedback."""
        return len(self.responses) - 1

    @property
    def scores(self) -> tuple[int | None, ...]:
        """The score of each response: its feedback's, else that of its checks, else None."""
        scores = [i.feedback.score for i in self.iterations]
        if not scores and (feedback := self.drafts[self.picked].feedback):
            scores = [feedback.score]
        scores += [None] * (len(self.responses) - len(scores))
        return tuple(
            score_of(response.findings) if score is None and response.findings else score
            for score, response in zip(scores, self.responses, strict=False)
        )

    @property
    def answer(self) -> ResponseText:
        if self.kept_candidate is None:
            return self.responses[self.kept]
        return self.population(self.kept)[self.kept_candidate].response

    def population(self, iteration: int) -> tuple[Candidate, ...]:
        """The drafts, or the candidates of a later iteration."""
        return self.iterations[iteration - 1].candidates if iteration else self.drafts

    @property
    def left_out(self) -> tuple[int, ...]:
        """Of the last iteration that wrote something."""
        written = [i.left_out for i in self.iterations if i.refinement is not None]
        return written[-1] if written else ()

    @property
    def repeated(self) -> int:
        """The texts that ended because they repeated themselves."""
        return sum(totals.repeated for totals in self.totals.values())

    @property
    def usage(self) -> Usage:
        return sum((t.usage for t in self.totals.values()), Usage())
