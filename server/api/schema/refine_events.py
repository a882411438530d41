"""The events of a streamed ``/v1/refine``, each declared once; /docs shows them."""

from __future__ import annotations

from typing import Literal

from redraft.server.api.schema.answers import (
    DraftJson,
    ErrorDetail,
    Exact,
    FeedbackJson,
    RefineObject,
    ResponseJson,
)


class RefineEvent(Exact):
    sequence_number: int


class PhaseDelta(RefineEvent):
    """A piece of a phase's text, while it is written; iteration 0 is the draft."""

    type: Literal["refine.draft.delta", "refine.feedback.delta", "refine.refinement.delta"]
    iteration: int
    delta: str


class PhaseThought(RefineEvent):
    """A piece of what a reasoning model thinks before it."""

    type: Literal["refine.draft.thought", "refine.feedback.thought", "refine.refinement.thought"]
    iteration: int
    delta: str


class DraftDoneEvent(RefineEvent):
    type: Literal["refine.draft.done"]
    iteration: int
    index: int  # of several drafts
    draft: DraftJson


class CandidateDoneEvent(RefineEvent):
    """One of several refinements of an iteration, written side by side."""

    type: Literal["refine.candidate.done"]
    iteration: int
    index: int
    candidate: DraftJson


class FeedbackRejectedEvent(RefineEvent):
    """The feedback could not be read."""

    type: Literal["refine.feedback.rejected"]
    iteration: int
    text: str
    problem: str


class FeedbackDoneEvent(RefineEvent):
    type: Literal["refine.feedback.done"]
    iteration: int
    feedback: FeedbackJson


class RefinementDoneEvent(RefineEvent):
    type: Literal["refine.refinement.done"]
    iteration: int
    refinement: ResponseJson


class IterationDone(RefineEvent):
    type: Literal["refine.iteration.done"]
    iteration: int
    score: int | None
    refined: bool


class Completed(RefineEvent):
    """The last event: what the answer is when it is not streamed."""

    type: Literal["refine.completed"]
    refine: RefineObject


class FailedEvent(RefineEvent):
    """The last event of a stream that failed after it began."""

    type: Literal["error"]
    error: ErrorDetail


REFINE_EVENTS = (
    *(PhaseDelta, PhaseThought, DraftDoneEvent, CandidateDoneEvent),
    *(FeedbackRejectedEvent, FeedbackDoneEvent, RefinementDoneEvent, IterationDone),
    *(Completed, FailedEvent),
)
