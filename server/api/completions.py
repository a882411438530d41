"""Completions: ``POST /v1/completions``, OpenAI's older API.

A prompt is text to continue, so there is no refinement unless the request asks for it (with a
suffix, ``reasoning_effort`` or ``refine``); then the prompt is an instruction to answer.
"""

from __future__ import annotations

from dataclasses import replace

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from redraft.server.api import choices, decide, fields, instruction, logprobs, outcome, unsupported
from redraft.server.api.decide import Decision
from redraft.server.api.depends import Context, ContextDep
from redraft.server.api.direct import forward
from redraft.server.api.errors import invalid
from redraft.server.api.openapi import refusals
from redraft.server.api.running_usage import running_usage
from redraft.server.api.schema.answers import ErrorBody, TextCompletion
from redraft.server.api.schema.examples import COMPLETION
from redraft.server.api.schema.requests import CompletionRequest
from redraft.server.api.shortfalls import warn_of
from redraft.server.api.sse import EventStream, streamed
from redraft.server.api.text_stream import TextStream, choice_of, completion_of
from redraft.server.engine.base import Engine, Tokens
from redraft.server.refine.asking import Ask, Asker
from redraft.server.refine.loop import Brief
from redraft.server.refine.trace import Feedback, Instruction, ResponseText
from redraft.server.service import Job

router = APIRouter(tags=["OpenAI"])

CONTINUED_TOKENS = 16  # OpenAI's default for this API: a continued text may have no end


@router.post(
    "/v1/completions",
    summary="Continue a text; or, when asked to refine, answer it",
    response_model=TextCompletion,
    responses={200: streamed(TextCompletion, ErrorBody, end="[DONE]"), **refusals()},
    openapi_extra={"requestBody": {"content": {"application/json": {"examples": COMPLETION}}}},
)
async def completions(body: CompletionRequest, context: ContextDep) -> Response:
    service, config = context.service, context.config
    unsupported.check(body)
    fields.check(body)
    fields.warn_of_unknown(context.request, body)
    requested = decide.requested_by(body, service, config)
    decision = decide.decide(replace(requested, refines_by_default=False), service, config)
    decision = _with_default_length(decision)
    choices.check(body.n, config)
    if field := _needs_direct(body, decision):
        if decision.policy.refines:
            raise unsupported.refused(field, decision.model.name)
        return await forward(context, decision, field)
    with instruction.came_in("prompt"):
        job = await _job(body, context, decision)
        jobs = choices.jobs_of(job, body.n)
        runs = [service.run(job) for job in jobs]
        head = outcome.head_of(job, decision.model.name)
        if body.stream:
            streams = [
                TextStream(head, decision, body.include_usage, running_usage(body, job), index)
                for index, job in choices.numbered(jobs)
            ]
            return EventStream(choices.chunks_of(streams, runs, jobs), config)
        traces = await choices.traces_of(context.request, runs)
    completion = completion_of(head, [])
    completion["usage"] = outcome.usage_of_choices(jobs, traces.values())
    for index, trace in traces.items():
        warn_of(context.request, trace, decision.policy)
        answer, probabilities = trace.answer, logprobs.of_text(trace.answer.logprobs)
        choice = choice_of(index, answer.text, answer.finish_reason, probabilities)
        owner = choice if len(jobs) > 1 else completion
        owner["refine"] = outcome.outcome_of(trace, decision.trace)
        completion["choices"].append(choice)
    return JSONResponse(completion, headers=outcome.headers_of(*traces.values()))


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


def _needs_direct(body: CompletionRequest, decision: Decision) -> str | None:
    field = unsupported.needs_direct(body)
    if field is not None or decision.policy.refines:
        return field
    if choices.forwarded(body.n, decision):
        return "n"
    # The engine's own layer adds the first token, which some models need.
    own_layer = decision.model.direct is not None and not isinstance(_prompt(body), list)
    return "prompt" if own_layer or not decision.model.engine.has_tokens else None


def _prompt(body: CompletionRequest) -> str | list[int]:
    """The one prompt, text or token ids."""
    prompt = body.prompt
    if isinstance(prompt, list) and not isinstance(prompt[0], int):
        return prompt[0]
    return prompt


async def _job(body: CompletionRequest, context: Context, decision: Decision) -> Job:
    prompt, engine = _prompt(body), decision.model.engine
    if decision.policy.refines:
        if isinstance(prompt, list):
            message = "token ids are continued as they stand; give text to have it refined"
            raise invalid("prompt", message, "unsupported_with_refinement")
        brief = replace(Brief.text(prompt), feedback=decision.feedback)
        asker: Asker | None = None
    else:
        ids = tuple(prompt) if isinstance(prompt, list) else await engine.encode(prompt)
        if not ids:
            raise invalid("prompt", "prompt is empty; there is nothing to continue")
        brief = Brief(Instruction(())) if isinstance(prompt, list) else Brief.text(prompt)
        asker = decision.model.adapted(Continuation(engine, Tokens(ids)))
    return decision.job("completions", brief, context, live=bool(body.stream), asker=asker)
