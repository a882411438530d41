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
from redraft.server.api.depends import Context
from redraft.server.api.errors import ApiError, invalid
from redraft.server.api.feedback_source import CHECKED_ITERATIONS, FeedbackSource, read_source
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
    _check_limits(requested.at, options, config)
    model = requested.model or service.model
    default = model.policy(config)
    source = read_source(requested.at, options, service)
    if source.verifies:
        iterations = max(default.max_iterations, CHECKED_ITERATIONS)
        default = replace(default, max_iterations=iterations, keep="best")
    policy = _policy(requested, options, default, _iterations(requested, default, config))
    policy = replace(
        policy, feedback_by=source.by, checks=source.checks, extract_checks=source.extracts
    )
    policy = _with_limits(policy, model, config)
    policy = _with_thinking(policy, requested, options, config)
    _check_consistent(requested.at, options, source, policy)
    writer = service.critics[source.critic] if source.critic else model
    return Decision(
        policy=_with_scores(requested.at, options, source, policy, writer),
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
        token_budget=options.token_budget,
        total_tokens=requested.total_tokens,
        seed=requested.seed,
        draft=_over(requested.draft, options.draft),
        feedback=_over(GREEDY, options.feedback_sampling),
        refinement=_over(like_draft, options.refinement),
    )


def _with_limits(policy: Policy, model: ServedModel, config: ServerConfig) -> Policy:
    """For phases that the request does not limit."""
    window = model.engine.window
    return replace(
        policy,
        response_tokens=response_tokens(window, config.default_max_tokens),
        feedback_tokens=feedback_tokens(window, config.default_feedback_tokens),
        end_repetition=config.end_repetition,
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


def _check_limits(at: str, options: RefineOptions, config: ServerConfig) -> None:
    most_ms = int(config.max_deadline_s * 1000)
    limits = {
        "max_iterations": config.max_iterations_cap,
        "drafts": config.max_drafts_cap,
        **({"deadline_ms": most_ms} if most_ms else {}),
    }
    for name, most in limits.items():
        value = getattr(options, name)
        if value is not None and value > most:
            raise _refused(at, name, f"is {value}; this server allows {most} at most")


def _check_consistent(
    at: str, options: RefineOptions, source: FeedbackSource, policy: Policy
) -> None:
    if policy.drafts > 1 and policy.draft.temperature == 0:
        message = "above 1 needs a temperature above 0, or all drafts are the same"
        raise _refused(at, "drafts", message)
    if options.feedback is not None and policy.max_iterations == 0:
        raise _refused(
            at, "feedback", "has no effect without iterations; allow max_iterations of 1"
        )
    if options.feedback is not None and policy.drafts > 1:
        raise _refused(at, "feedback", "is about one response; leave out drafts")
    if source.critic is not None and not policy.refines:
        name = "critic" if options.critic else "feedback_by"
        raise _refused(at, name, "has no effect without iterations; allow max_iterations of 1")
    if options.feedback is not None and source.by == "off":
        raise _refused(at, "feedback", "is given, and feedback_by is 'off'; leave one of them out")
    for name in ("draft", "refinement"):
        sampling: Sampling = getattr(policy, name)
        low, high = sampling.min_tokens, sampling.max_tokens
        if low is not None and high is not None and low > high:
            raise _refused(at, name, f"min_tokens is {low}, more than max_tokens {high}")


def _with_scores(
    at: str, options: RefineOptions, source: FeedbackSource, policy: Policy, writer: ServedModel
) -> Policy:
    """Without scores no response can be good enough or, without checks, the best: an error when
    the request asks for either; a default of either is dropped."""
    if source.scores(writer) or not policy.refines:
        return policy
    needing = {
        "good_enough": options.good_enough is not None,
        "keep": options.keep == "best" and not source.verifies,
        "drafts": policy.drafts > 1 and not source.verifies,
    }
    whose = "model" if source.by == "model" else "request"
    for name, requested in needing.items():
        if requested:
            message = (
                f"needs scores, and the feedback of this {whose} has none; leave it out, or name "
                f"a critic of this server"
            )
            raise _refused(at, name, message)
    return replace(policy, good_enough=None, keep=policy.keep if source.verifies else "last")


def _refused(at: str, name: str, message: str) -> ApiError:
    return invalid(at + name, f"{at}{name} {message}")


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
