"""Chat: ``POST /v1/chat/completions``, OpenAI's, with the loop behind it.

``content`` is the answer and nothing else. Drafts, feedback and hidden refinements are
``reasoning``, which chat clients show apart; how it came about is in ``refine``.
"""

from __future__ import annotations

import time
from dataclasses import replace
from uuid import uuid4

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from redraft.server.api import decide, outcome, reasoning, unsupported
from redraft.server.api.chat_stream import ChatStream, Head
from redraft.server.api.decide import Decided
from redraft.server.api.depends import ClientDep, ConfigDep, ServiceDep, traceparent_of
from redraft.server.api.direct import forward
from redraft.server.api.errors import RESPONSES, invalid
from redraft.server.api.examples import CHAT
from redraft.server.api.schema.answers import ChatAnswerMessage, ChatCompletion, ChatCompletionChunk
from redraft.server.api.schema.requests import ChatMessage, ChatRequest
from redraft.server.api.sse import EventStream, finished, streamed
from redraft.server.config import ReasoningField, ServerConfig
from redraft.server.engine.base import Message
from redraft.server.refine.loop import Given
from redraft.server.refine.trace import Instruction, Trace
from redraft.server.service import Job

router = APIRouter(tags=["OpenAI"])


@router.post(
    "/v1/chat/completions",
    summary="Answer a chat; the model checks its own work first",
    response_model=ChatCompletion,
    responses={200: streamed(ChatCompletionChunk), **RESPONSES},
    openapi_extra={"requestBody": {"content": {"application/json": {"examples": CHAT}}}},
)
async def chat_completions(
    body: ChatRequest,
    request: Request,
    service: ServiceDep,
    config: ConfigDep,
    client: ClientDep,
) -> Response:
    _check(body, config)
    asked = decide.asked(body, service, config)
    asked = replace(asked, total_tokens=body.max_completion_tokens)
    decided = decide.decide(asked, service, config)
    if beyond_loop := unsupported.needs_direct(body):
        if decided.policy.refines:
            raise unsupported.refused(beyond_loop, service.model.engine.model)
        return await forward(request, service, config, client, decided, beyond_loop)
    head = Head(f"chatcmpl-{uuid4().hex}", int(time.time()), service.model.engine.model)
    shown = _reasoning_field(body, config)
    job = _job(body, head.id, client, decided)
    job = replace(job, traceparent=traceparent_of(request))
    if body.stream:
        usage = body.stream_options is not None and bool(body.stream_options.include_usage)
        stream = ChatStream(head, decided, shown, usage)
        return EventStream(stream.chunks(service.run(job)), config)
    trace = await finished(request.receive, service.run(job))
    content = _completion(head, trace, decided, shown)
    return JSONResponse(content, headers=outcome.headers_of(trace))


def instruction_of(messages: list[ChatMessage]) -> Instruction:
    """The chat as the model gets it: text only, and no feedback of earlier answers."""
    return Instruction(tuple(_message(message) for message in messages))


def _message(message: ChatMessage) -> Message:
    content = message.content or ""
    if isinstance(content, list):
        content = "\n".join(part.text or "" for part in content)
    # OpenAI's newer word for the same thing; chat templates know the older one.
    role = "system" if message.role == "developer" else message.role
    return Message(role, content, message.name)


def _check(body: ChatRequest, config: ServerConfig) -> None:
    unsupported.check(body)
    if len(body.messages) > config.max_messages:
        message = f"there are {len(body.messages)} messages; the most is {config.max_messages}"
        raise invalid("messages", message)


def _job(body: ChatRequest, id: str, client: str, decided: Decided) -> Job:
    return Job(
        Given(instruction_of(body.messages), feedback=decided.feedback),
        decided.policy,
        id,
        "chat",
        client=client,
        critic=decided.critic,
        deadline_ms=decided.deadline_ms,
        live=bool(body.stream),
    )


def _reasoning_field(body: ChatRequest, config: ServerConfig) -> ReasoningField:
    excluded = body.reasoning is not None and body.reasoning.exclude
    return "none" if excluded or body.include_reasoning is False else config.reasoning_field


def _completion(
    head: Head, trace: Trace, decided: Decided, shown: ReasoningField
) -> ChatCompletion:
    message: ChatAnswerMessage = {"role": "assistant", "content": trace.answer.text}
    if decided.policy.refines:
        reasoning.add_to(message, trace, shown)
    finish_reason = trace.answer.finish_reason
    return {
        "id": head.id,
        "object": "chat.completion",
        "created": head.created,
        "model": head.model,
        "choices": [{"index": 0, "message": message, "finish_reason": finish_reason}],
        "usage": outcome.usage_of(trace),
        "refine": outcome.outcome_of(trace, decided.trace),
    }
