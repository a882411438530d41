"""The typed events of a streamed ``/v1/refine``: what the loop tells, as JSON.

Every event has ``type`` and ``sequence_number``. How to add one: a case in ``tell``, a test in
tests/test_refine_stream.py, and, where people should see it, a case in page/manuscript.js.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from redraft.server.refine.events import (
    Delta,
    DraftDone,
    Event,
    FeedbackDone,
    FeedbackRejected,
    Finished,
    PhaseStarted,
    RefinementDone,
)
from redraft.server.refine.trace_json import candidate_json, feedback_json, response_json

Json = dict[str, Any]


class EventJson:
    """Numbers the events of one stream."""

    def __init__(self) -> None:
        self._next = 0
        self._open: FeedbackDone | None = None  # an iteration that may still get a refinement

    def tell(self, event: Event) -> Iterator[Json]:
        match event:
            case PhaseStarted():
                pass
            case Delta(phase=phase, iteration=iteration, text=text):
                yield self.numbered(f"refine.{phase}.delta", iteration=iteration, delta=text)
            case DraftDone(candidate=candidate, index=index):
                done = candidate_json(candidate)
                yield self.numbered("refine.draft.done", iteration=0, index=index, draft=done)
            case FeedbackRejected(iteration=iteration, text=text, problem=problem):
                rejected = {"iteration": iteration, "text": text, "problem": problem}
                yield self.numbered("refine.feedback.rejected", **rejected)
            case FeedbackDone(iteration=iteration, feedback=feedback):
                said = feedback_json(feedback)
                yield self.numbered("refine.feedback.done", iteration=iteration, feedback=said)
                self._open = event
            case RefinementDone(iteration=iteration, refinement=refinement):
                done = response_json(refinement)
                yield self.numbered("refine.refinement.done", iteration=iteration, refinement=done)
                yield from self._iteration_done(refined=True)
            case Finished():
                yield from self._iteration_done(refined=False)

    def numbered(self, type: str, **fields: Any) -> Json:
        number, self._next = self._next, self._next + 1
        return {"type": type, "sequence_number": number, **fields}

    def _iteration_done(self, refined: bool) -> Iterator[Json]:
        """The iteration of the last feedback is over, with a refinement or because of it."""
        if self._open is None:
            return
        ended = {"iteration": self._open.iteration, "score": self._open.feedback.score}
        yield self.numbered("refine.iteration.done", **ended, refined=refined)
        self._open = None
