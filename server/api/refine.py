"""``POST /v1/refine``: the loop, with everything it wrote. Plain or as a stream of typed events.

    curl http://127.0.0.1:8000/v1/refine -H 'Content-Type: application/json' \\
        -d '{"prompt": "Sort these words: pear, fig, apple", "stream": true}'

Every event of a stream has ``type`` and ``sequence_number``. How to add one: a case in
``EventJson.tell``, a test in tests/server/api/test_refine_stream.py, and, where people should see
it, a case in page/manuscript.js.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from pydantic import TypeAdapter

from redraft.server.api import decide, instruction, outcome
from redraft.server.api.decide import Decision
from redraft.server.api.depends import ContextDep
from redraft.server.api.errors import RESPONSES, ApiError
from redraft.server.api.schema.answers import Head, RefineEvent, RefineObject
from redraft.server.api.schema.examples import REFINE
from redraft.server.api.schema.refine import RefineRequest
from redraft.server.api.sse import EventStream, data, finished
from redraft.server.config import ServerConfig
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
from redraft.server.refine.loop import Given
from redraft.server.refine.trace import Trace
from redraft.server.refine.trace_json import candidate_json, feedback_json, response_json
from redraft.server.service import Service

router = APIRouter(tags=["refine"])
Json = dict[str, Any]

_STREAM = {"text/event-stream": {"schema": TypeAdapter(RefineEvent).json_schema()}}


@router.post(
    "/v1/refine",
    summary="Answer an instruction and show how the answer came about",
    response_model=RefineObject,
    responses={200: {"content": _STREAM}, **RESPONSES},
    openapi_extra={"requestBody": {"content": {"application/json": {"examples": REFINE}}}},
)
async def refine(body: RefineRequest, context: ContextDep) -> Response:
    """Draft, feedback, refinement; again if asked for; and the best or the last of it."""
    service, config = context.service, context.config
    decision = _decide(body, service, config)
    given = Given(instruction.of_body(body, context), body.response, body.feedback)
    job = decision.job("refine", given, context)
    head = outcome.head_of(job, context.model_name)
    with_trace = body.trace is not False
    if body.stream:
        wire = EventJson()
        chunks = _stream(instruction.run(service, job, body), head, with_trace, wire)
        return EventStream(chunks, config, lambda error: _failed(wire, error))
    trace = await finished(context.request.receive, instruction.run(service, job, body))
    return JSONResponse(_object(head, trace, with_trace), headers=outcome.headers_of(trace))


def _decide(body: RefineRequest, service: Service, config: ServerConfig) -> Decision:
    requested = decide.requested_by(body.chat(), service, config)
    requested = replace(requested, refine=body, total_tokens=body.max_completion_tokens, at="")
    return decide.decide(requested, service, config)


def _object(head: Head, trace: Trace, with_trace: bool) -> RefineObject:
    return {
        "id": head["id"],
        "object": "refine",
        "created": head["created"],
        "model": head["model"],
        "answer": trace.answer.text,
        "finish_reason": trace.answer.finish_reason,
        **outcome.summary_of(trace, with_trace),
        "usage": outcome.usage_with_phases(trace),
    }


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


async def _stream(
    events: AsyncGenerator[Event, None], head: Head, with_trace: bool, wire: EventJson
) -> AsyncGenerator[bytes, None]:
    async with aclosing(events):
        async for event in events:
            for told in wire.tell(event):
                yield _typed(told)
            if isinstance(event, Finished):
                answer = _object(head, event.trace, with_trace)
                yield _typed(wire.numbered("refine.completed", refine=answer))


def _failed(wire: EventJson, error: ApiError) -> bytes:
    return _typed(wire.numbered("error", **error.body()))


def _typed(event: Json) -> bytes:
    return f"event: {event['type']}\n".encode() + data(event)
