"""Chat: OpenAI's ``POST /v1/chat/completions``, answered by the loop.

``content`` is the answer alone. Drafts, feedback and hidden refinements are ``reasoning``, which
chat clients show separately; ``refine`` has the course of the loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from redraft.server.api import decide, instruction, outcome, reasoning, unsupported
from redraft.server.api.chat_stream import ChatStream
from redraft.server.api.decide import Decision
from redraft.server.api.depends import ContextDep
from redraft.server.api.direct import forward
from redraft.server.api.errors import RESPONSES
from redraft.server.api.schema.answers import (
    ChatAnswerMessage,
    ChatCompletion,
    ChatCompletionChunk,
    Head,
)
from redraft.server.api.schema.examples import CHAT
from redraft.server.api.schema.requests import ChatRequest
from redraft.server.api.shortfalls import warn_of
from redraft.server.api.sse import EventStream, finished, streamed
from redraft.server.config import ReasoningField, ServerConfig
from redraft.server.refine.loop import Brief
from redraft.server.refine.trace import Trace

router = APIRouter(tags=["OpenAI"])


@router.post(
    "/v1/chat/completions",
    summary="Answer a chat; the model checks its own work first",
    response_model=ChatCompletion,
    responses={200: streamed(ChatCompletionChunk), **RESPONSES},
    openapi_extra={"requestBody": {"content": {"application/json": {"examples": CHAT}}}},
)
async def chat_completions(body: ChatRequest, context: ContextDep) -> Response:
    service, config = context.service, context.config
    unsupported.check(body)
    instruction.check_length(body.messages, config)
    requested = decide.requested_by(body, service, config)
    requested = replace(requested, total_tokens=body.max_completion_tokens)
    decision = decide.decide(requested, service, config)
    if field := unsupported.needs_direct(body):
        if decision.policy.refines:
            raise unsupported.refused(field, context.model_name)
        return await forward(context.request, service, config, context.client, decision, field)
    brief = Brief(instruction.of_chat(body.messages), feedback=decision.feedback)
    job = decision.job("chat", brief, context, live=bool(body.stream))
    head, shown = outcome.head_of(job, context.model_name), _reasoning_field(body, config)
    if body.stream:
        stream = ChatStream(head, decision, shown, body.include_usage)
        return EventStream(stream.chunks(service.run(job)), config)
    trace = await finished(context.request.receive, service.run(job))
    notes = warn_of(context.request, trace, decision.policy)
    completion = _completion(head, trace, decision, shown, notes)
    return JSONResponse(completion, headers=outcome.headers_of(trace))


def _reasoning_field(body: ChatRequest, config: ServerConfig) -> ReasoningField:
    excluded = body.reasoning is not None and body.reasoning.exclude
    return "none" if excluded or body.include_reasoning is False else config.reasoning_field


def _completion(
    head: Head, trace: Trace, decision: Decision, shown: ReasoningField, notes: Sequence[str]
) -> ChatCompletion:
    message: ChatAnswerMessage = {"role": "assistant", "content": trace.answer.text}
    if decision.policy.refines:
        reasoning.add_to(message, trace, shown, notes)
    finish_reason = trace.answer.finish_reason
    return {
        "id": head["id"],
        "object": "chat.completion",
        "created": head["created"],
        "model": head["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": finish_reason}],
        "usage": outcome.usage_of(trace),
        "refine": outcome.outcome_of(trace, decision.trace),
    }
