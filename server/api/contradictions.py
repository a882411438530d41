"""Refuses requests that exceed a limit of the server or contradict themselves."""

from __future__ import annotations

from dataclasses import replace

from redraft.server.api.errors import ApiError, invalid
from redraft.server.api.feedback_source import FeedbackSource
from redraft.server.api.schema.requests import RefineOptions
from redraft.server.config import ServerConfig
from redraft.server.engine.base import Sampling
from redraft.server.model import ServedModel
from redraft.server.refine.policy import Policy


def check_combining(at: str, options: RefineOptions) -> None:
    """Of candidates there must be several, and of a subset no more than there are."""
    drafts, combines = options.drafts or 1, options.combine == "candidates"
    if combines and drafts < 2:
        raise _refused(at, "combine", f"is 'candidates', of which there is one; give {at}drafts")
    if options.subset is None:
        return
    if not combines:
        message = f"is about candidates that are combined; give {at}combine 'candidates'"
        raise _refused(at, "subset", message)
    if options.subset > drafts:
        raise _refused(at, "subset", f"is {options.subset}, more than the {drafts} drafts")


def check_limits(at: str, options: RefineOptions, config: ServerConfig) -> None:
    most_ms = int(config.max_deadline_s * 1000)
    limits = {
        "max_iterations": config.max_iterations_cap,
        "drafts": config.max_drafts_cap,
        "feedback_votes": config.max_votes_cap,
        **({"deadline_ms": most_ms} if most_ms else {}),
    }
    for name, most in limits.items():
        value = getattr(options, name)
        if value is not None and value > most:
            raise _refused(at, name, f"is {value}; this server allows {most} at most")


def check_consistent(
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
    _check_votes(at, source, policy)
    if policy.combine == "candidates" and policy.max_iterations == 0:
        raise _refused(at, "combine", "has no effect without iterations; allow max_iterations of 1")
    for name in ("draft", "refinement"):
        sampling: Sampling = getattr(policy, name)
        low, high = sampling.min_tokens, sampling.max_tokens
        if low is not None and high is not None and low > high:
            raise _refused(at, name, f"min_tokens is {low}, more than max_tokens {high}")


def _check_votes(at: str, source: FeedbackSource, policy: Policy) -> None:
    if policy.feedback_votes == 1:
        return
    if source.by != "model":
        message = f"above 1 is about a model's feedback, and feedback_by is {source.by!r}"
        raise _refused(at, "feedback_votes", message)
    if policy.feedback.temperature == 0:
        message = "above 1 needs a temperature above 0 in feedback_sampling, or all votes are equal"
        raise _refused(at, "feedback_votes", message)


def with_scores(
    at: str, options: RefineOptions, source: FeedbackSource, policy: Policy, writer: ServedModel
) -> Policy:
    """Without scores no response can be good enough or, without checks, the best: an error when
    the request asks for either; a default of either is dropped."""
    if source.scores(writer) or not policy.refines:
        return policy
    needing = {
        "good_enough": options.good_enough is not None,
        "keep": options.keep == "best" and not source.verifies,
        "drafts": _ranks(policy) and not source.verifies,
        "feedback_votes": (options.feedback_votes or 1) > 1,
    }
    whose = "model" if source.by == "model" else "request"
    for name, requested in needing.items():
        if requested:
            message = (
                f"needs scores, and the feedback of this {whose} has none; leave it out, or name "
                f"a critic of this server"
            )
            raise _refused(at, name, message)
    best = policy.keep == "best" and not source.verifies
    return replace(policy, good_enough=None, keep="last" if best else policy.keep)


def _ranks(policy: Policy) -> bool:
    """Whether the best of several drafts has to be found."""
    return policy.drafts > 1 and policy.combine == "best" and policy.keep != "vote"


def _refused(at: str, name: str, message: str) -> ApiError:
    return invalid(at + name, f"{at}{name} {message}")
