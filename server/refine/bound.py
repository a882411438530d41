"""Bound: the most completion tokens that a loop may cost, known before its draft is written.

It follows from the policy alone: drafts, iterations, votes and retries, each at its cap. What a
request allows, or what is left to its API key, may be less; ``by`` says which limit that is. What
is read is not part of it: how long the responses will be, nobody knows yet.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from redraft.server.refine.extracting import MOST_TOKENS
from redraft.server.refine.policy import FEEDBACK_ATTEMPTS, Policy
from redraft.server.refine.trace import Limit, Phase


@dataclass(frozen=True, slots=True)
class Bound:
    """``by``: the limit that is lower than what all phases may come to; None: no limit is."""

    tokens: int
    by: Limit | None = None


def bound_of(policy: Policy, window: int, drafts: bool = True) -> Bound:
    """Of a loop that writes its drafts, or is given the response to improve."""
    first = _cap(policy, "draft", window) if drafts else 0
    bound = Bound(_drafts(policy, window) * drafts + _iterations(policy, window))
    if policy.token_budget is not None and first + policy.token_budget < bound.tokens:
        bound = Bound(first + policy.token_budget, policy.budget_by)
    if policy.total_tokens is not None and policy.total_tokens < bound.tokens:
        bound = Bound(policy.total_tokens, "max_completion_tokens")
    return bound


def within(policy: Policy, window: int, left: int | None, drafts: bool = True) -> Policy:
    """The policy for a key with so many tokens left: what they do not cover is not refined. The
    first draft is written all the same, as it is without refinement."""
    if left is None or bound_of(policy, window, drafts).tokens <= left:
        return policy
    budget = max(0, left - (_cap(policy, "draft", window) if drafts else 0))
    if policy.token_budget is not None and policy.token_budget <= budget:
        return policy
    return replace(policy, token_budget=budget, budget_by="tokens_per_minute")


def _drafts(policy: Policy, window: int) -> int:
    draft = _cap(policy, "draft", window)
    return draft if policy.drafts == 1 else policy.drafts * (draft + _feedback(policy, window))


def _iterations(policy: Policy, window: int) -> int:
    """Everything after the drafts."""
    extracting = MOST_TOKENS if policy.extract_checks else 0
    asked = FEEDBACK_ATTEMPTS * _feedback(policy, window)
    if policy.feedback_only:
        return extracting + asked
    if policy.max_iterations == 0:
        return extracting
    refinement = _cap(policy, "refinement", window)
    scoring = asked if policy.keep == "best" else 0
    if policy.combine == "best":
        return extracting + policy.max_iterations * (asked + refinement) + scoring
    candidates = policy.drafts * (refinement + _feedback(policy, window))
    return extracting + (policy.max_iterations - 1) * candidates + refinement + scoring


def _feedback(policy: Policy, window: int) -> int:
    """All votes on one response, once. Checks that could not be read out of an instruction are
    replaced by the model's feedback."""
    if policy.feedback_by == "off" or (policy.feedback_by == "checks" and policy.checks):
        return 0
    return policy.feedback_votes * _cap(policy, "feedback", window)


def _cap(policy: Policy, phase: Phase, window: int) -> int:
    """Of one call."""
    sampling = {"draft": policy.draft, "feedback": policy.feedback}.get(phase, policy.refinement)
    if sampling.max_tokens is not None:
        return min(sampling.max_tokens, window)
    most = policy.most_tokens(phase)
    return window if most is None else min(window, max(most, sampling.min_tokens or 0))
