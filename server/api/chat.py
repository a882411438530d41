"""Chat: OpenAI's ``POST /v1/chat/completions``, answered by the loop.

``content`` is the answer alone. Drafts, feedback and hidden refinements are ``reasoning``, which
chat clients show separately; ``refine`` has the course of the loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from redraft.server.api import (
    chat_options,
    choices,
    decide,
    fields,
    instruction,
    logprobs,
    outcome,
    parts,
    reasoning,
    unsupported,
)
from redraft.server.api.chat_stream import ChatStream
from redraft.server.api.decide import Decision
from redraft.server.api.depends import ContextDep
from redraft.server.api.direct import forward
from redraft.server.api.openapi import refusals
from redraft.server.api.running_usage import running_usage
from redraft.server.api.schema.answers import (
    ChatAnswerMessage,
    ChatChoice,
    ChatCompletion,
    ChatCompletionChunk,
    ErrorBody,
)
from redraft.server.api.schema.examples import CHAT
from redraft.server.api.schema.requests import ChatRequest
from redraft.server.api.shortfalls import warn_of
from redraft.server.api.sse import EventStream, streamed
from redraft.server.config import ReasoningField, ServerConfig
from redraft.server.refine.loop import Brief
from redraft.server.refine.trace import Trace

router = APIRouter(tags=["OpenAI"])


@router.post(
    "/v1/chat/completions",
    summary="Answer a chat; the model checks its own work first",
    response_model=ChatCompletion,
    responses={200: streamed(ChatCompletionChunk, ErrorBody, end="[DONE]"), **refusals()},
    openapi_extra={"requestBody": {"content": {"application/json": {"examples": CHAT}}}},
)
async def chat_completions(body: ChatRequest, context: ContextDep) -> Response:
    service, config = context.service, context.config
    unsupported.check(body)
    fields.check(body)
    fields.warn_of_unknown(context.request, body)
    instruction.check_length(body.messages, config)
    told = decide.told_effort(body, config)
    options = chat_options.options_of(body, service.model.engine, told)
    requested = decide.requested_by(body, service, config)
    requested = replace(requested, total_tokens=body.max_completion_tokens)
    decision = decide.decide(requested, service, config)
    choices.check(body.n, config)
    field = unsupported.needs_direct(body)
    if field is None and choices.forwarded(body.n, decision):
        field = "n"
    if field is not None:
        if decision.policy.refines:
            raise unsupported.refused(field, decision.model.name)
        return await forward(context, decision, field, told)
    asked = instruction.of_chat(body.messages, options)
    predicted = None if body.prediction is None else body.prediction.text
    brief = Brief(asked, feedback=decision.feedback, prediction=predicted)
    job = decision.job("chat", brief, context, live=bool(body.stream))
    jobs = choices.jobs_of(job, body.n)
    runs = [parts.naming_parts(service.run(job), body.messages) for job in jobs]
    head, shown = outcome.head_of(job, decision.model.name), _reasoning_field(body, config)
    if body.stream:
        streams = [
            ChatStream(head, decision, shown, body.include_usage, running_usage(body, job), index)
            for index, job in choices.numbered(jobs)
        ]
        return EventStream(choices.chunks_of(streams, runs, jobs), config)
    traces = await choices.traces_of(context.request, runs)
    completion: ChatCompletion = {
        "id": head["id"],
        "object": "chat.completion",
        "created": head["created"],
        "model": head["model"],
        "choices": [],
        "usage": outcome.usage_of_choices(jobs, traces.values()),
    }
    for index, trace in traces.items():
        notes = warn_of(context.request, trace, decision.policy)
        choice = _choice(index, trace, decision, shown, notes)
        owner = choice if len(jobs) > 1 else completion
        owner["refine"] = outcome.outcome_of(trace, decision.trace)
        completion["choices"].append(choice)
    return JSONResponse(completion, headers=outcome.headers_of(*traces.values()))


def _reasoning_field(body: ChatRequest, config: ServerConfig) -> ReasoningField:
    excluded = body.reasoning is not None and body.reasoning.exclude
    return "none" if excluded or body.include_reasoning is False else config.reasoning_field


def _choice(
    index: int, trace: Trace, decision: Decision, shown: ReasoningField, notes: Sequence[str]
) -> ChatChoice:
    answer = trace.answer
    message: ChatAnswerMessage = {"role": "assistant", "content": answer.text, "refusal": None}
    reasoning.add_to(message, trace, shown, decision.policy.refines, notes)
    if answer.tool_calls:
        message["content"] = message["content"] or None
        message["tool_calls"] = [dict(call) for call in answer.tool_calls]
    return {
        "index": index,
        "message": message,
        "logprobs": logprobs.of_chat(answer.logprobs),
        "finish_reason": answer.finish_reason,
    }
