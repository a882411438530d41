"""Completions: ``POST /v1/completions``, OpenAI's older API.

A prompt is text to continue, so there is no refinement unless the request asks for it (with a
suffix, ``reasoning_effort`` or ``refine``); then the prompt is an instruction to answer.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from redraft.server.api import decide, instruction, outcome, unsupported
from redraft.server.api.decide import Decision
from redraft.server.api.depends import Context, ContextDep
from redraft.server.api.direct import forward
from redraft.server.api.errors import RESPONSES, invalid
from redraft.server.api.schema.answers import CompletionChoice, Head, TextCompletion
from redraft.server.api.schema.examples import COMPLETION
from redraft.server.api.schema.requests import CompletionRequest
from redraft.server.api.shortfalls import warn_of
from redraft.server.api.sse import DONE, EventStream, data, finished, streamed
from redraft.server.engine.base import Engine, FinishReason, Tokens
from redraft.server.refine.asking import Ask
from redraft.server.refine.events import Delta, Event, Finished
from redraft.server.refine.loop import Brief
from redraft.server.refine.trace import Feedback, Instruction, ResponseText, Trace
from redraft.server.service import Job, Service

router = APIRouter(tags=["OpenAI"])

CONTINUED_TOKENS = 16  # OpenAI's default for this API: a continued text may have no end


@router.post(
    "/v1/completions",
    summary="Continue a text; or, when asked to refine, answer it",
    response_model=TextCompletion,
    responses={200: streamed(TextCompletion), **RESPONSES},
    openapi_extra={"requestBody": {"content": {"application/json": {"examples": COMPLETION}}}},
)
async def completions(body: CompletionRequest, context: ContextDep) -> Response:
    service, config = context.service, context.config
    unsupported.check(body)
    requested = decide.requested_by(body, service, config)
    decision = decide.decide(replace(requested, refines_by_default=False), service, config)
    decision = _with_default_length(decision)
    if field := _needs_direct(body, service, decision):
        if decision.policy.refines:
            raise unsupported.refused(field, context.model_name)
        return await forward(context.request, service, config, context.client, decision, field)
    with instruction.came_in("prompt"):
        job = await _job(body, context, decision)
        head = outcome.head_of(job, context.model_name)
        if body.stream:
            chunks = _chunks(head, service.run(job), decision, body.include_usage)
            return EventStream(chunks, config)
        trace = await finished(context.request.receive, service.run(job))
    warn_of(context.request, trace, decision.policy)
    completion = _ending(head, trace, decision, trace.answer.text)
    completion["usage"] = outcome.usage_of(trace)
    return JSONResponse(completion, headers=outcome.headers_of(trace))


class Continuation:
    """An asker that has an engine continue a text, without refinement."""

    components = ()

    def __init__(self, engine: Engine, prompt: Tokens) -> None:
        self.engine, self._prompt = engine, prompt

    async def draft(self) -> Ask:
        return Ask(self._prompt)

    async def feedback(self, response: ResponseText) -> Ask:
        raise NotImplementedError("a continued text gets no feedback")

    async def refinement(self, response: ResponseText, feedback: Feedback) -> Ask:
        raise NotImplementedError("a continued text is not refined")


def _with_default_length(decision: Decision) -> Decision:
    draft = decision.policy.draft
    if decision.policy.refines or draft.max_tokens is not None:
        return decision
    draft = replace(draft, max_tokens=CONTINUED_TOKENS)
    return replace(decision, policy=replace(decision.policy, draft=draft))


def _needs_direct(body: CompletionRequest, service: Service, decision: Decision) -> str | None:
    field = unsupported.needs_direct(body)
    if field is not None or decision.policy.refines:
        return field
    # The engine's own layer adds the first token, which some models need.
    own_layer = service.model.direct is not None and not isinstance(_prompt(body), list)
    return "prompt" if own_layer or not service.model.engine.has_tokens else None


def _prompt(body: CompletionRequest) -> str | list[int]:
    """The one prompt, text or token ids."""
    prompt = body.prompt
    if isinstance(prompt, list) and not isinstance(prompt[0], int):
        return prompt[0]
    return prompt


async def _job(body: CompletionRequest, context: Context, decision: Decision) -> Job:
    prompt, engine = _prompt(body), context.service.model.engine
    if decision.policy.refines:
        if isinstance(prompt, list):
            message = "token ids are continued as they stand; give text to have it refined"
            raise invalid("prompt", message, "unsupported_with_refinement")
        brief = replace(Brief.text(prompt), feedback=decision.feedback)
        asker = None
    else:
        ids = tuple(prompt) if isinstance(prompt, list) else await engine.encode(prompt)
        if not ids:
            raise invalid("prompt", "prompt is empty; there is nothing to continue")
        brief = Brief(Instruction(())) if isinstance(prompt, list) else Brief.text(prompt)
        asker = Continuation(engine, Tokens(ids))
    return decision.job("completions", brief, context, live=bool(body.stream), asker=asker)


async def _chunks(
    head: Head,
    events: AsyncGenerator[Event, None],
    decision: Decision,
    include_usage: bool,
) -> AsyncGenerator[bytes, None]:
    """The answer alone: this API has no field for reasoning."""
    answered = False
    with instruction.came_in("prompt"):
        async with aclosing(events):
            async for event in events:
                match event:
                    case Delta(live=True, text=text):
                        answered = True
                        yield data(_completion(head, [_choice(text, None)]))
                    case Finished(trace=trace):
                        text = "" if answered else trace.answer.text
                        yield data(_ending(head, trace, decision, text))
                        if include_usage:
                            usage = _completion(head, [])
                            usage["usage"] = outcome.usage_of(trace)
                            yield data(usage)
                        yield DONE


def _completion(head: Head, choices: list[CompletionChoice]) -> TextCompletion:
    return {
        "id": head["id"],
        "object": "text_completion",
        "created": head["created"],
        "model": head["model"],
        "choices": choices,
    }


def _ending(head: Head, trace: Trace, decision: Decision, text: str) -> TextCompletion:
    completion = _completion(head, [_choice(text, trace.answer.finish_reason)])
    completion["refine"] = outcome.outcome_of(trace, decision.trace)
    return completion


def _choice(text: str, finish_reason: FinishReason | None) -> CompletionChoice:
    return {"index": 0, "text": text, "logprobs": None, "finish_reason": finish_reason}
