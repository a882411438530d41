"""``POST /v1/feedback``: weaknesses, suggestions and a score for a response, nothing else.

    curl http://127.0.0.1:8000/v1/feedback -H 'Content-Type: application/json' \\
        -d '{"prompt": "Sort these words: pear, fig, apple", "response": "apple, pear, fig"}'
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from uuid import uuid4

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from redraft.server.api import outcome
from redraft.server.api.decide import Asked, decide
from redraft.server.api.depends import ClientDep, ConfigDep, ServiceDep, traceparent_of
from redraft.server.api.errors import RESPONSES, ApiError, describe, invalid
from redraft.server.api.examples import FEEDBACK
from redraft.server.api.instruction import instruction_of, run
from redraft.server.api.models import read_name
from redraft.server.api.schema.answers import FeedbackObject
from redraft.server.api.schema.refine import FeedbackRequest
from redraft.server.api.sse import finished
from redraft.server.config import ServerConfig
from redraft.server.engine.base import EngineUnavailable
from redraft.server.refine.events import Event, FeedbackRejected
from redraft.server.refine.loop import Given
from redraft.server.refine.trace import Feedback, Trace
from redraft.server.service import Draining, Job, Service

router = APIRouter(tags=["refine"])


@router.post(
    "/v1/feedback",
    summary="Say what is weak about a response, and how good it is",
    response_model=FeedbackObject,
    responses=RESPONSES,
    openapi_extra={"requestBody": {"content": {"application/json": {"examples": FEEDBACK}}}},
)
async def feedback(
    body: FeedbackRequest,
    request: Request,
    service: ServiceDep,
    config: ConfigDep,
    client: ClientDep,
) -> Response:
    """What is weak about a response, what to do about it, and how good it is from 1 to 10."""
    job = _job(body, service, config, client)
    job = replace(job, traceparent=traceparent_of(request))
    rejected: list[str] = []
    trace = await finished(request.receive, _noting(run(service, job, body), rejected))
    written = _feedback(trace, rejected)
    if written is None:
        raise _missing(trace, body)
    writer = service.critics[body.critic] if body.critic else service.model
    answer: FeedbackObject = {
        "id": job.request_id,
        "object": "feedback",
        "created": int(time.time()),
        "model": writer.engine.model,
        "feedback": written.text,
        "weaknesses": written.weaknesses,
        "suggestions": written.suggestions,
        "score": written.score,
        "usage": outcome.usage_with_phases(trace),
    }
    return JSONResponse(answer)


def _job(body: FeedbackRequest, service: Service, config: ServerConfig, client: str) -> Job:
    """A loop that ends on its first feedback."""
    suffix = read_name(body.model, service, config)
    if suffix and suffix.iterations == 0:
        message = (
            f"model is {body.model!r}, which means no feedback, and feedback is asked for; name "
            f"{service.model.engine.model!r}"
        )
        raise invalid("model", message)
    decided = decide(Asked(refine=body.options(), seed=body.seed, at=""), service, config)
    policy = replace(decided.policy, max_iterations=1, keep="last", feedback_only=True)
    return Job(
        given=Given(instruction_of(body, service, config), body.response),
        policy=policy,
        request_id=f"feedback-{uuid4().hex}",
        route="feedback",
        client=client,
        critic=decided.critic,
        deadline_ms=decided.deadline_ms,
    )


async def _noting(
    events: AsyncGenerator[Event, None], rejected: list[str]
) -> AsyncGenerator[Event, None]:
    async with aclosing(events):
        async for event in events:
            if isinstance(event, FeedbackRejected):
                rejected.append(event.text)
            yield event


def _feedback(trace: Trace, rejected: list[str]) -> Feedback | None:
    """As it was read; as it was written, when it could not be read; None when it was not."""
    if trace.iterations:
        return trace.iterations[0].feedback
    malformed = trace.stop_reason == "malformed_feedback"
    return Feedback(rejected[-1]) if malformed and rejected else None


def _missing(trace: Trace, body: FeedbackRequest) -> ApiError:
    match trace.stop_reason:
        case "deadline":
            message = "the deadline passed before the feedback was complete; raise deadline_ms"
            return ApiError(504, message, code="deadline_exceeded").spent()
        case "draining":
            return describe(Draining())
        case "token_budget":
            message = "instruction and response leave no room for feedback; shorten them"
            return invalid(body.instruction_param, message, "context_length_exceeded")
    failure = trace.failure or f"no feedback could be written ({trace.stop_reason})"
    return describe(EngineUnavailable(failure)).spent()
