"""The events of a loop, in the order in which they happen."""

from __future__ import annotations

from dataclasses import dataclass

from redraft.server.engine.base import Json
from redraft.server.engine.tool_calls import ToolCall
from redraft.server.refine.trace import Candidate, Feedback, Phase, ResponseText, Trace


@dataclass(frozen=True, slots=True)
class PhaseStarted:
    """A phase begins; iteration 0 is the draft."""

    phase: Phase
    iteration: int
    candidate: int | None = None  # the one that is seen, of several that begin side by side


@dataclass(frozen=True, slots=True)
class Delta:
    """New text of a phase. ``live``: it is certain to be part of the answer."""

    phase: Phase
    iteration: int
    text: str
    live: bool = False
    logprobs: tuple[Json, ...] = ()  # of its tokens, where they were asked for


@dataclass(frozen=True, slots=True)
class Thought:
    """What a reasoning model thinks in a phase, before its text and no part of it."""

    phase: Phase
    iteration: int
    text: str


@dataclass(frozen=True, slots=True)
class ToolCallsDelta:
    """A part of the tool calls of the only draft, which is the answer then. ``before``: its text,
    which is complete."""

    calls: tuple[ToolCall, ...]  # in OpenAI's shape
    before: str


@dataclass(frozen=True, slots=True)
class DraftDone:
    candidate: Candidate
    index: int = 0  # among the drafts


@dataclass(frozen=True, slots=True)
class CandidateDone:
    """One of several refinements written side by side, from which the next iteration goes on."""

    iteration: int
    candidate: Candidate
    index: int


@dataclass(frozen=True, slots=True)
class FeedbackDone:
    iteration: int
    feedback: Feedback


@dataclass(frozen=True, slots=True)
class FeedbackRejected:
    """Malformed feedback; the loop retries once, then stops."""

    iteration: int
    text: str
    problem: str


@dataclass(frozen=True, slots=True)
class RefinementDone:
    iteration: int
    refinement: ResponseText


@dataclass(frozen=True, slots=True)
class Finished:
    """Always the last event."""

    trace: Trace


Event = (
    PhaseStarted
    | Delta
    | Thought
    | ToolCallsDelta
    | DraftDone
    | CandidateDone
    | FeedbackDone
    | FeedbackRejected
    | RefinementDone
    | Finished
)
