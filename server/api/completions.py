"""Completions: ``POST /v1/completions``, OpenAI's older API.

A prompt is text to continue, so there is no refinement unless the request asks for it (with a
suffix, ``reasoning_effort`` or ``refine``); then the prompt is the instruction to answer.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from uuid import uuid4

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from redraft.server.api import decide, outcome, unsupported
from redraft.server.api.chat_stream import Head
from redraft.server.api.decide import Decided
from redraft.server.api.depends import ClientDep, ConfigDep, ServiceDep, traceparent_of
from redraft.server.api.direct import forward
from redraft.server.api.errors import RESPONSES, invalid
from redraft.server.api.examples import COMPLETION
from redraft.server.api.schema.answers import CompletionChoice, TextCompletion
from redraft.server.api.schema.requests import CompletionRequest
from redraft.server.api.sse import DONE, EventStream, data, finished, streamed
from redraft.server.engine.base import Engine, FinishReason, Tokens
from redraft.server.refine.asking import Ask
from redraft.server.refine.events import Delta, Event, Finished
from redraft.server.refine.loop import Given
from redraft.server.refine.trace import (
    Feedback,
    Instruction,
    ResponseText,
    Trace,
)
from redraft.server.service import Job, Service

router = APIRouter(tags=["OpenAI"])

CONTINUED_TOKENS = 16  # OpenAI's default for this API: a text to continue has no end of its own


@router.post(
    "/v1/completions",
    summary="Continue a text; or, when asked to refine, answer it",
    response_model=TextCompletion,
    responses={200: streamed(TextCompletion), **RESPONSES},
    openapi_extra={"requestBody": {"content": {"application/json": {"examples": COMPLETION}}}},
)
async def completions(
    body: CompletionRequest,
    request: Request,
    service: ServiceDep,
    config: ConfigDep,
    client: ClientDep,
) -> Response:
    unsupported.check(body)
    asked = decide.asked(body, service, config)
    decided = decide.decide(replace(asked, refines_by_default=False), service, config)
    decided = _with_default_length(decided)
    if beyond_loop := _needs_direct(body, service, decided):
        if decided.policy.refines:
            raise unsupported.refused(beyond_loop, service.model.engine.model)
        return await forward(request, service, config, client, decided, beyond_loop)
    job = await _job(body, service, client, decided)
    job = replace(job, traceparent=traceparent_of(request))
    head = Head(job.request_id, int(time.time()), service.model.engine.model)
    if body.stream:
        usage = body.stream_options is not None and bool(body.stream_options.include_usage)
        return EventStream(_chunks(head, service.run(job), decided, usage), config)
    trace = await finished(request.receive, service.run(job))
    content = _ending(head, trace, decided, trace.answer.text)
    content["usage"] = outcome.usage_of(trace)
    return JSONResponse(content, headers=outcome.headers_of(trace))


class Continuation:
    """Asks an engine to go on with a text as it stands. There is nothing to refine."""

    components = ()

    def __init__(self, engine: Engine, prompt: Tokens) -> None:
        self.engine, self._prompt = engine, prompt

    async def draft(self) -> Ask:
        return Ask(self._prompt)

    async def feedback(self, response: ResponseText) -> Ask:
        raise NotImplementedError("a continued text gets no feedback")

    async def refinement(self, response: ResponseText, feedback: Feedback) -> Ask:
        raise NotImplementedError("a continued text is not refined")


def _with_default_length(decided: Decided) -> Decided:
    draft = decided.policy.draft
    if decided.policy.refines or draft.max_tokens is not None:
        return decided
    draft = replace(draft, max_tokens=CONTINUED_TOKENS)
    return replace(decided, policy=replace(decided.policy, draft=draft))


def _needs_direct(body: CompletionRequest, service: Service, decided: Decided) -> str | None:
    name = unsupported.needs_direct(body)
    if name is not None or decided.policy.refines:
        return name
    # The engine's own layer knows how its model's texts begin (a first token, usually).
    own_layer = service.model.direct is not None and not isinstance(_prompt(body), list)
    return "prompt" if own_layer or not service.model.engine.has_tokens else None


def _prompt(body: CompletionRequest) -> str | list[int]:
    """The one prompt, text or token ids."""
    prompt = body.prompt
    if isinstance(prompt, list) and not isinstance(prompt[0], int):
        return prompt[0]
    return prompt


async def _job(body: CompletionRequest, service: Service, client: str, decided: Decided) -> Job:
    prompt, engine = _prompt(body), service.model.engine
    if decided.policy.refines:
        if isinstance(prompt, list):
            message = "token ids are continued as they stand; give text to have it refined"
            raise invalid("prompt", message, "unsupported_with_refinement")
        given = replace(Given.text(prompt), feedback=decided.feedback)
        asker = None
    else:
        ids = tuple(prompt) if isinstance(prompt, list) else await engine.encode(prompt)
        if not ids:
            raise invalid("prompt", "prompt is empty; there is nothing to continue")
        given = Given(Instruction(())) if isinstance(prompt, list) else Given.text(prompt)
        asker = Continuation(engine, Tokens(ids))
    return Job(
        given,
        decided.policy,
        f"cmpl-{uuid4().hex}",
        "completions",
        client=client,
        critic=decided.critic,
        deadline_ms=decided.deadline_ms,
        live=bool(body.stream),
        asker=asker,
    )


async def _chunks(
    head: Head,
    events: AsyncGenerator[Event, None],
    decided: Decided,
    include_usage: bool,
) -> AsyncGenerator[bytes, None]:
    """Only the answer: this API has no place for reasoning."""
    answered = False
    async with aclosing(events):
        async for event in events:
            match event:
                case Delta(live=True, text=text):
                    answered = True
                    yield data(_completion(head, [_choice(text, None)]))
                case Finished(trace=trace):
                    text = "" if answered else trace.answer.text
                    yield data(_ending(head, trace, decided, text))
                    if include_usage:
                        usage = _completion(head, [])
                        usage["usage"] = outcome.usage_of(trace)
                        yield data(usage)
                    yield DONE


def _completion(head: Head, choices: list[CompletionChoice]) -> TextCompletion:
    return {
        "id": head.id,
        "object": "text_completion",
        "created": head.created,
        "model": head.model,
        "choices": choices,
    }


def _ending(head: Head, trace: Trace, decided: Decided, text: str) -> TextCompletion:
    completion = _completion(head, [_choice(text, trace.answer.finish_reason)])
    completion["refine"] = outcome.outcome_of(trace, decided.trace)
    return completion


def _choice(text: str, finish_reason: FinishReason | None) -> CompletionChoice:
    return {"index": 0, "text": text, "logprobs": None, "finish_reason": finish_reason}
