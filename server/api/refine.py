"""``POST /v1/refine``: the loop with everything it wrote, whole or as a stream of typed events.

    curl http://127.0.0.1:8000/v1/refine -H 'Content-Type: application/json' \\
        -d '{"prompt": "Sort these words: pear, fig, apple", "stream": true}'

Every event of a stream has ``type`` and ``sequence_number``. How to add one: a case in
``EventWriter.write``, a declaration in schema/refine_events.py, a test in
tests/server/api/test_refine_stream.py and, if the playground should show it, a case in
server/page/manuscript.js.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from redraft.server.api import decide, instruction, outcome, parts
from redraft.server.api.decide import Decision
from redraft.server.api.depends import ContextDep
from redraft.server.api.errors import ApiError
from redraft.server.api.openapi import refusals
from redraft.server.api.schema.answers import Head, RefineObject
from redraft.server.api.schema.examples import REFINE
from redraft.server.api.schema.refine import RefineRequest
from redraft.server.api.schema.refine_events import REFINE_EVENTS
from redraft.server.api.shortfalls import warn_of
from redraft.server.api.sse import EventStream, data, finished, streamed
from redraft.server.config import ServerConfig
from redraft.server.refine.events import (
    CandidateDone,
    Delta,
    DraftDone,
    Event,
    FeedbackDone,
    FeedbackRejected,
    Finished,
    PhaseStarted,
    RefinementDone,
    Thought,
)
from redraft.server.refine.loop import Brief
from redraft.server.refine.trace import Trace
from redraft.server.refine.trace_json import candidate_json, feedback_json, response_json
from redraft.server.service import Service

router = APIRouter(tags=["refine"])


@router.post(
    "/v1/refine",
    summary="Answer an instruction and show how the answer came about",
    response_model=RefineObject,
    responses={200: streamed(*REFINE_EVENTS), **refusals()},
    openapi_extra={"requestBody": {"content": {"application/json": {"examples": REFINE}}}},
)
async def refine(body: RefineRequest, context: ContextDep) -> Response:
    """Draft, feedback, refinement; again if asked for; and the best or the last of it."""
    service, config = context.service, context.config
    decision = _decide(body, service, config)
    brief = Brief(instruction.of_body(body, context), body.response, body.feedback)
    job = decision.job("refine", brief, context)
    head = outcome.head_of(job, decision.model.name)
    events = parts.naming_parts(service.run(job), body.messages or ())
    if body.stream:
        writer = EventWriter()
        return EventStream(_stream(body, events, head, writer), config, writer.failed)
    with instruction.came_in(body.instruction_param):
        trace = await finished(context.request.receive, events)
    warn_of(context.request, trace, decision.policy)
    return JSONResponse(_object(head, trace, body), headers=outcome.headers_of(trace))


def _decide(body: RefineRequest, service: Service, config: ServerConfig) -> Decision:
    requested = decide.requested_by(body.chat(), service, config)
    requested = replace(requested, refine=body, total_tokens=body.max_completion_tokens, at="")
    return decide.decide(requested, service, config)


def _object(head: Head, trace: Trace, body: RefineRequest) -> RefineObject:
    return {
        "id": head["id"],
        "object": "refine",
        "created": head["created"],
        "model": head["model"],
        "answer": trace.answer.text,
        "finish_reason": trace.answer.finish_reason,
        **outcome.summary_of(trace, body.trace is not False),
        "usage": outcome.usage_with_phases(trace),
    }


class EventWriter:
    """Writes and numbers the events of one stream."""

    def __init__(self) -> None:
        self._next_number = 0
        self._open: FeedbackDone | None = None  # an iteration that may still get a refinement

    def write(self, event: Event) -> Iterator[bytes]:
        match event:
            case PhaseStarted():
                pass
            case Delta(phase=phase, iteration=iteration, text=text):
                yield self._event(f"refine.{phase}.delta", iteration=iteration, delta=text)
            case Thought(phase=phase, iteration=iteration, text=text):
                yield self._event(f"refine.{phase}.thought", iteration=iteration, delta=text)
            case DraftDone(candidate=candidate, index=index):
                draft = candidate_json(candidate)
                yield self._event("refine.draft.done", iteration=0, index=index, draft=draft)
            case CandidateDone(iteration=iteration, candidate=candidate, index=index):
                written = {"index": index, "candidate": candidate_json(candidate)}
                yield self._event("refine.candidate.done", iteration=iteration, **written)
            case FeedbackRejected(iteration=iteration, text=text, problem=problem):
                rejected = {"iteration": iteration, "text": text, "problem": problem}
                yield self._event("refine.feedback.rejected", **rejected)
            case FeedbackDone(iteration=iteration, feedback=feedback):
                written = feedback_json(feedback)
                yield self._event("refine.feedback.done", iteration=iteration, feedback=written)
                self._open = event
            case RefinementDone(iteration=iteration, refinement=refinement):
                fields = {"iteration": iteration, "refinement": response_json(refinement)}
                yield self._event("refine.refinement.done", **fields)
                yield from self._iteration_done(refined=True)
            case Finished():
                yield from self._iteration_done(refined=False)

    def completed(self, answer: RefineObject) -> bytes:
        return self._event("refine.completed", refine=answer)

    def failed(self, error: ApiError) -> bytes:
        return self._event("error", **error.body())

    def _iteration_done(self, refined: bool) -> Iterator[bytes]:
        """The end of the iteration of the last feedback, with a refinement or without."""
        if self._open is None:
            return
        ended = {"iteration": self._open.iteration, "score": self._open.feedback.score}
        yield self._event("refine.iteration.done", **ended, refined=refined)
        self._open = None

    def _event(self, type: str, **fields: Any) -> bytes:
        event = {"type": type, "sequence_number": self._next_number, **fields}
        self._next_number += 1
        return f"event: {type}\n".encode() + data(event)


async def _stream(
    body: RefineRequest, events: AsyncGenerator[Event, None], head: Head, writer: EventWriter
) -> AsyncGenerator[bytes, None]:
    with instruction.came_in(body.instruction_param):
        async with aclosing(events):
            async for event in events:
                for chunk in writer.write(event):
                    yield chunk
                if isinstance(event, Finished):
                    yield writer.completed(_object(head, event.trace, body))
