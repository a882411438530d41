"""Decides the policy of one request, from everything that can set it.

The server's default (the operator's, else the model's manifest) < the suffix of the model's name
< ``reasoning_effort`` < the ``refine`` object. The more specific wins, field by field. A request
that contradicts itself or exceeds a limit of the server is refused before any token is spent.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

from redraft.server.api.constraint import constraint_of
from redraft.server.api.contradictions import (
    check_combining,
    check_consistent,
    check_limits,
    with_scores,
)
from redraft.server.api.depends import Context
from redraft.server.api.feedback_source import CHECKED_ITERATIONS, read_source
from redraft.server.api.form_limits import check_forms
from redraft.server.api.models import Suffix, read_name
from redraft.server.api.schema.requests import Generation, RefineOptions, SamplingFields
from redraft.server.config import ServerConfig
from redraft.server.engine.base import Sampling
from redraft.server.model import ServedModel
from redraft.server.refine.asking import Asker
from redraft.server.refine.limits import feedback_tokens, response_tokens
from redraft.server.refine.loop import Brief
from redraft.server.refine.manifest import DefaultPolicy
from redraft.server.refine.policy import Policy
from redraft.server.service import Job, Service

EFFORTS = {"none": 0, "minimal": 0, "low": 1, "medium": 1, "high": 2, "xhigh": 3, "max": 4}
GREEDY = Sampling(temperature=0.0)
_SAMPLING = tuple(SamplingFields.model_fields)
ID_PREFIXES = {"chat": "chatcmpl", "completions": "cmpl"}  # OpenAI's, by route


@dataclass(frozen=True, slots=True)
class Requested:
    """Everything a request sets about refinement and sampling, in any of its fields."""

    model: ServedModel | None = None  # None: the one served by default
    suffix: Suffix | None = None
    effort: str | None = None
    refine: RefineOptions | None = None
    draft: Sampling = field(default_factory=Sampling)  # the request's own sampling fields
    seed: int | None = None
    total_tokens: int | None = None
    thinks: bool = True  # False: the effort forbids it
    refines_by_default: bool = True  # False: only when the request sets it
    at: str = "refine."  # the path to the fields of ``refine`` in the request, for errors


@dataclass(frozen=True, slots=True)
class Decision:
    """The policy and the other options of one request, complete."""

    policy: Policy
    model: ServedModel
    critic: str | None = None
    deadline_ms: int | None = None
    feedback: str | None = None  # the caller's own
    trace: bool = False  # part of the answer

    def job(
        self,
        route: str,
        brief: Brief,
        context: Context,
        *,
        live: bool = False,
        asker: Asker | None = None,
    ) -> Job:
        """The job that answers ``brief``, with an id of its own."""
        return Job(
            brief,
            self.policy,
            request_id=f"{ID_PREFIXES.get(route, route)}-{uuid4().hex}",
            route=route,
            client=context.client,
            critic=self.critic,
            deadline_ms=self.deadline_ms,
            live=live,
            traceparent=context.traceparent,
            asker=asker,
            model=self.model,
        )


def requested_by(request: Generation, service: Service, config: ServerConfig) -> Requested:
    """What a chat or completions request sets; ApiError for a model that is not served."""
    effort = _effort(request)
    name = read_name(request.model, service, config)
    return Requested(
        model=name.model,
        suffix=name.suffix,
        effort=effort if config.effort != "think" else None,
        thinks=effort != "none" or config.effort == "refine",
        refine=request.refine,
        draft=_sampling_of(request, config),
        seed=request.seed,
    )


def told_effort(request: Generation, config: ServerConfig) -> str | None:
    """The effort that the model itself is told; None where it is about refining alone."""
    return None if config.effort == "refine" else _effort(request)


def _effort(request: Generation) -> str | None:
    reasoning = request.reasoning
    effort = request.reasoning_effort or (reasoning.effort if reasoning else None)
    if effort is None and reasoning is not None and reasoning.enabled is False:
        return "none"
    return effort


def decide(requested: Requested, service: Service, config: ServerConfig) -> Decision:
    options = requested.refine or RefineOptions()
    check_limits(requested.at, options, config)
    check_combining(requested.at, options)
    model = requested.model or service.model
    default = model.policy(config)
    source = read_source(requested.at, options, service)
    if source.verifies:
        iterations = max(default.max_iterations, CHECKED_ITERATIONS)
        default = replace(default, max_iterations=iterations, keep="best")
    policy = _policy(requested, options, default, _iterations(requested, default, config))
    writer = service.critics[source.critic] if source.critic else model
    scored = source.by == "model" and source.scores(writer)
    policy = _with_votes(policy, options, config.feedback_votes if scored else 1)
    policy = replace(
        policy, feedback_by=source.by, checks=source.checks, extract_checks=source.extracts
    )
    policy = _with_limits(policy, model, config)
    policy = _with_thinking(policy, requested, options, config)
    check_consistent(requested.at, options, source, policy)
    return Decision(
        policy=with_scores(requested.at, options, source, policy, writer),
        model=model,
        critic=source.critic,
        deadline_ms=options.deadline_ms or int(config.max_deadline_s * 1000) or None,
        feedback=options.feedback,
        trace=options.trace or False,
    )


def _iterations(requested: Requested, default: DefaultPolicy, config: ServerConfig) -> int:
    iterations = default.max_iterations
    if not requested.refines_by_default:
        iterations = 0 if requested.refine is None else max(1, iterations)
    if requested.suffix is not None:
        iterations = requested.suffix.over(default.max_iterations)
    if requested.effort is not None:
        iterations = EFFORTS[requested.effort]
    if requested.refine is not None and requested.refine.max_iterations is not None:
        iterations = requested.refine.max_iterations
    return min(iterations, config.max_iterations_cap)


def _policy(
    requested: Requested, options: RefineOptions, default: DefaultPolicy, iterations: int
) -> Policy:
    # Length, stop strings and constraints of drafts hold for refinements, too. Temperature and the
    # like do not: refinements are greedy, as in the paper.
    like_draft = replace(
        GREEDY,
        max_tokens=requested.draft.max_tokens,
        min_tokens=requested.draft.min_tokens,
        ignore_eos=requested.draft.ignore_eos,
        stop=requested.draft.stop,
        stop_token_ids=requested.draft.stop_token_ids,
        logit_bias=requested.draft.logit_bias,
        constraint=requested.draft.constraint,
        logprobs=requested.draft.logprobs,
    )
    # An explicit null switches good_enough off.
    explicit = "good_enough" in options.model_fields_set
    return Policy(
        max_iterations=iterations,
        good_enough=options.good_enough if explicit else default.good_enough,
        keep=options.keep or default.keep,
        drafts=options.drafts or 1,
        combine=options.combine or "best",
        subset=options.subset,
        token_budget=options.token_budget,
        total_tokens=requested.total_tokens,
        seed=requested.seed,
        draft=_over(requested.draft, options.draft),
        feedback=_over(GREEDY, options.feedback_sampling),
        refinement=_over(like_draft, options.refinement),
    )


def _with_votes(policy: Policy, options: RefineOptions, default: int) -> Policy:
    """Votes are sampled, unless the request says how: greedy ones would all be the same."""
    votes = options.feedback_votes or default
    feedback = _over(Sampling(), options.feedback_sampling)
    if votes == 1 or (options.feedback_votes is None and feedback.temperature == 0):
        return policy
    return replace(policy, feedback_votes=votes, feedback=feedback)


def _with_limits(policy: Policy, model: ServedModel, config: ServerConfig) -> Policy:
    """For phases that the request does not limit."""
    window = model.engine.window
    return replace(
        policy,
        response_tokens=response_tokens(window, config.default_max_tokens),
        feedback_tokens=feedback_tokens(window, config.default_feedback_tokens),
        end_repetition=config.end_repetition,
        one_breath=config.one_breath,
    )


def _with_thinking(
    policy: Policy, requested: Requested, options: RefineOptions, config: ServerConfig
) -> Policy:
    usual = None if config.think == "auto" else config.think
    think = options.think or (usual if requested.thinks else "none")
    return replace(policy, think=think, think_tokens=options.think_tokens or config.think_tokens)


def _over(default: Sampling, fields: SamplingFields | None) -> Sampling:
    """``default``, with the fields that are set."""
    if fields is None:
        return default
    values: dict[str, Any] = {
        name: value for name in _SAMPLING if (value := getattr(fields, name)) is not None
    }
    if "stop" in values:
        stop = values["stop"]
        values["stop"] = (stop,) if isinstance(stop, str) else tuple(stop)
    return replace(default, **values)


def _sampling_of(request: Generation, config: ServerConfig) -> Sampling:
    bias = sorted((int(token), value) for token, value in (request.logit_bias or {}).items())
    constraint = constraint_of(request)
    check_forms(request, constraint)
    default = Sampling(
        max_tokens=config.default_max_tokens or None,
        logit_bias=tuple(bias),
        stop_token_ids=tuple(request.stop_token_ids or ()),
        constraint=constraint,
        logprobs=request.num_logprobs,
    )
    return _over(default, request)
