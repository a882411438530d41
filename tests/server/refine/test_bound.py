"""What a loop may cost is known before its draft is written."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings

from redraft.server.engine.base import Sampling
from redraft.server.refine.bound import Bound, bound_of, within
from redraft.server.refine.extracting import MOST_TOKENS
from redraft.server.refine.policy import Policy
from tests.server.refine.test_loop_properties import Case, cases, engine_saying, runs
from tests.support.examples import examples
from tests.support.loops import trace_of

WINDOW = 4096
D, F, R = 100, 10, 30  # most tokens of a draft, a feedback, a refinement


def policy(**options: Any) -> Policy:
    return Policy(
        draft=Sampling(max_tokens=D),
        feedback=Sampling(max_tokens=F),
        refinement=Sampling(max_tokens=R),
        **options,
    )


@pytest.mark.parametrize(
    ("options", "tokens"),
    [
        ({"max_iterations": 0}, D),
        ({}, D + 2 * F + R),
        ({"max_iterations": 3}, D + 3 * (2 * F + R)),
        ({"keep": "best"}, D + 2 * F + R + 2 * F),
        ({"feedback_votes": 3}, D + 6 * F + R),
        ({"feedback_by": "off"}, D + R),
        ({"drafts": 2, "max_iterations": 0}, 2 * (D + F)),
        ({"drafts": 2, "combine": "candidates"}, 2 * (D + F) + R),
        (
            {"drafts": 2, "combine": "candidates", "max_iterations": 3},
            2 * (D + F) + 2 * 2 * (R + F) + R,
        ),
        ({"extract_checks": True, "feedback_by": "off"}, D + MOST_TOKENS + R),
        ({"feedback_only": True}, D + 2 * F),
    ],
)
def test_every_phase_counts_at_its_cap(options: dict[str, Any], tokens: int) -> None:
    assert bound_of(policy(**options), WINDOW) == Bound(tokens)


def test_a_response_that_is_given_costs_no_draft() -> None:
    assert bound_of(policy(), WINDOW, drafts=False).tokens == 2 * F + R


def test_a_phase_without_a_cap_has_the_window() -> None:
    assert bound_of(Policy(feedback_by="off"), 64).tokens == 128


@pytest.mark.parametrize(
    ("options", "bound"),
    [
        ({"token_budget": 20}, Bound(D + 20, "token_budget")),
        ({"total_tokens": 90}, Bound(90, "max_completion_tokens")),
        ({"total_tokens": 90, "token_budget": 20}, Bound(90, "max_completion_tokens")),
        ({"token_budget": 9999, "total_tokens": 9999}, Bound(D + 2 * F + R)),
    ],
)
def test_the_lowest_limit_is_named(options: dict[str, Any], bound: Bound) -> None:
    assert bound_of(policy(**options), WINDOW) == bound


@pytest.mark.parametrize(
    ("left", "bound"),
    [
        (None, Bound(D + 2 * F + R)),
        (D + 2 * F + R, Bound(D + 2 * F + R)),
        (D + 5, Bound(D + 5, "tokens_per_minute")),
        (D - 5, Bound(D, "tokens_per_minute")),
    ],
)
def test_a_key_refines_with_what_is_left_to_it(left: int | None, bound: Bound) -> None:
    assert bound_of(within(policy(), WINDOW, left), WINDOW) == bound


def test_a_lower_budget_of_the_request_stays() -> None:
    chosen = policy(token_budget=5)
    assert within(chosen, WINDOW, D + 20) is chosen


@settings(max_examples=examples(400), deadline=None)
@given(cases)
def test_no_loop_costs_more(case: Case) -> None:
    script, window, policy, request, live = case
    events = runs(engine_saying(script, window), policy, request, live)
    if events is None:
        return
    trace = trace_of(events)
    assert trace.bound is not None
    assert trace.usage.completion_tokens <= trace.bound
    assert trace.bound == bound_of(policy, window, request.response is None).tokens
