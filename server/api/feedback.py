"""``POST /v1/feedback``: weaknesses, suggestions and a score for a response.

    curl http://127.0.0.1:8000/v1/feedback -H 'Content-Type: application/json' \\
        -d '{"prompt": "Sort these words: pear, fig, apple", "response": "apple, pear, fig"}'
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from redraft.server.api import instruction, outcome
from redraft.server.api.decide import Requested, decide
from redraft.server.api.depends import Context, ContextDep
from redraft.server.api.errors import ApiError, describe, invalid
from redraft.server.api.models import read_name
from redraft.server.api.openapi import refusals
from redraft.server.api.schema.answers import FeedbackObject
from redraft.server.api.schema.examples import FEEDBACK
from redraft.server.api.schema.refine import FeedbackRequest
from redraft.server.api.sse import finished
from redraft.server.engine.base import EngineUnavailable
from redraft.server.refine.events import Event, FeedbackRejected
from redraft.server.refine.loop import Brief
from redraft.server.refine.trace import Feedback, Trace
from redraft.server.service import Draining, Job

router = APIRouter(tags=["refine"])


@router.post(
    "/v1/feedback",
    summary="Say what is weak about a response, and how good it is",
    response_model=FeedbackObject,
    responses=refusals(),
    openapi_extra={"requestBody": {"content": {"application/json": {"examples": FEEDBACK}}}},
)
async def feedback(body: FeedbackRequest, context: ContextDep) -> Response:
    """What is weak about a response, what to do about it, and how good it is from 1 to 10."""
    service = context.service
    job = _job(body, context)
    rejected: list[str] = []
    with instruction.came_in(body.instruction_param):
        events = _noting(service.run(job), rejected)
        trace = await finished(context.request.receive, events)
    written = _feedback(trace, rejected)
    writer = service.critics[job.critic] if job.critic else job.model or service.model
    if written is None:
        raise _missing(trace, body, writer.engine.window)
    head = outcome.head_of(job, writer.name)
    answer: FeedbackObject = {
        "id": head["id"],
        "object": "feedback",
        "created": head["created"],
        "model": head["model"],
        "feedback": written.text,
        "weaknesses": written.weaknesses,
        "suggestions": written.suggestions,
        "score": written.score,
        "usage": outcome.usage_with_phases(trace),
    }
    if written.votes:
        answer["votes"] = outcome.votes_of(written)
    if trace.verified:
        answer["checks"] = outcome.checks_of(trace)[0]
    return JSONResponse(answer)


def _job(body: FeedbackRequest, context: Context) -> Job:
    """A loop that ends with its first feedback."""
    service, config = context.service, context.config
    name = read_name(body.model, service, config)
    if name.suffix and name.suffix.iterations == 0:
        message = (
            f"model is {body.model!r}, which means no feedback, and feedback is asked for; name "
            f"{name.model.name!r}"
        )
        raise invalid("model", message)
    if body.feedback_by == "off":
        raise invalid(
            "feedback_by", "feedback_by is 'off', and feedback is asked for; leave it out"
        )
    requested = Requested(model=name.model, refine=body.options(), seed=body.seed, at="")
    decision = decide(requested, service, config)
    policy = replace(decision.policy, max_iterations=1, keep="last", feedback_only=True)
    brief = Brief(instruction.of_body(body, context), body.response)
    return replace(decision, policy=policy).job("feedback", brief, context)


async def _noting(
    events: AsyncGenerator[Event, None], rejected: list[str]
) -> AsyncGenerator[Event, None]:
    async with aclosing(events):
        async for event in events:
            if isinstance(event, FeedbackRejected):
                rejected.append(event.text)
            yield event


def _feedback(trace: Trace, rejected: list[str]) -> Feedback | None:
    """The feedback; its text alone when it is malformed; None when there is none."""
    if trace.iterations:
        return trace.iterations[0].feedback
    malformed = trace.stop_reason == "malformed_feedback"
    return Feedback(rejected[-1]) if malformed and rejected else None


def _missing(trace: Trace, body: FeedbackRequest, window: int) -> ApiError:
    match trace.stop_reason:
        case "deadline":
            message = "the deadline passed before the feedback was complete; raise deadline_ms"
            return ApiError(504, message, code="deadline_exceeded").spent()
        case "draining":
            return describe(Draining())
        case "token_budget":
            message = (
                f"This model's maximum context length is {window} tokens. However, instruction and "
                f"response leave no room for feedback; shorten them"
            )
            return invalid(body.instruction_param, message, "context_length_exceeded")
    failure = trace.failure or f"no feedback could be written ({trace.stop_reason})"
    return describe(EngineUnavailable(failure)).spent()
