"""``POST /v1/refine``: the loop, with everything it wrote. Plain or as a stream of typed events.

    curl http://127.0.0.1:8000/v1/refine -H 'Content-Type: application/json' \\
        -d '{"prompt": "Sort these words: pear, fig, apple", "stream": true}'
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any
from uuid import uuid4

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from redraft.server.api import outcome
from redraft.server.api.decide import Decided, asked, decide
from redraft.server.api.depends import ClientDep, ConfigDep, ServiceDep, traceparent_of
from redraft.server.api.errors import ApiError, ErrorBody
from redraft.server.api.examples import REFINE
from redraft.server.api.instruction import instruction_of, run
from redraft.server.api.refine_events import EventJson, Json
from redraft.server.api.schema.refine import RefineEvent, RefineObject, RefineRequest
from redraft.server.api.sse import EventStream, data, finished
from redraft.server.config import ServerConfig
from redraft.server.refine.events import Event, Finished
from redraft.server.refine.loop import Given
from redraft.server.refine.trace import Trace
from redraft.server.refine.trace_json import trace_json, usage_by_phase
from redraft.server.service import Job, Service

router = APIRouter(tags=["refine"])

_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "model": RefineObject,
        "content": {"text/event-stream": {"schema": RefineEvent.model_json_schema()}},
    },
    "4XX": {"model": ErrorBody},
    "5XX": {"model": ErrorBody},
}


@router.post(
    "/v1/refine",
    summary="Answer an instruction and show how the answer came about",
    response_model=None,
    responses=_RESPONSES,
    openapi_extra={"requestBody": {"content": {"application/json": {"examples": REFINE}}}},
)
async def refine(
    body: RefineRequest,
    request: Request,
    service: ServiceDep,
    config: ConfigDep,
    client: ClientDep,
) -> Response:
    """Draft, feedback, refinement; again if asked for; and the best or the last of it."""
    decided = decide_on(body, service, config)
    job = Job(
        given=Given(instruction_of(body, service, config), body.response, body.feedback),
        policy=decided.policy,
        request_id=f"refine-{uuid4().hex}",
        route="refine",
        client=client,
        critic=decided.critic,
        deadline_ms=decided.deadline_ms,
        traceparent=traceparent_of(request),
    )
    report = Report(job.request_id, service.model.engine.model, body.trace)
    if body.stream:
        wire = EventJson()
        chunks = _stream(run(service, job, body), report, wire)
        return EventStream(chunks, config, lambda error: _failed(wire, error))
    trace = await finished(request.receive, run(service, job, body))
    return JSONResponse(report.of(trace), headers=outcome.headers(trace))


def decide_on(body: RefineRequest, service: Service, config: ServerConfig) -> Decided:
    said = asked(body.chat(), service, config)
    return decide(
        replace(said, refine=body, total_tokens=body.max_completion_tokens, at=""),
        service,
        config,
    )


class Report:
    """Writes the object of one request."""

    def __init__(self, id: str, model: str, with_trace: bool | None) -> None:
        self._id, self._model = id, model
        self._with_trace = with_trace is not False
        self._created = int(time.time())

    def of(self, trace: Trace) -> Json:
        return {
            "id": self._id,
            "object": "refine",
            "created": self._created,
            "model": self._model,
            "answer": trace.answer.text,
            "finish_reason": trace.answer.finish_reason,
            "stop_reason": trace.stop_reason,
            "iterations": trace.refinements,
            "kept": trace.kept,
            "scores": list(trace.scores),
            **({"trace": trace_json(trace)} if self._with_trace else {}),
            "usage": {**outcome.usage_json(trace), "phases": usage_by_phase(trace)},
        }


async def _stream(
    events: AsyncGenerator[Event, None], report: Report, wire: EventJson
) -> AsyncGenerator[bytes, None]:
    async with aclosing(events):
        async for event in events:
            for told in wire.tell(event):
                yield _typed(told)
            if isinstance(event, Finished):
                yield _typed(wire.numbered("refine.completed", refine=report.of(event.trace)))


def _failed(wire: EventJson, error: ApiError) -> bytes:
    return _typed(wire.numbered("error", **error.body()))


def _typed(event: Json) -> bytes:
    return f"event: {event['type']}\n".encode() + data(event)
