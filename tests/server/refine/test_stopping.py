"""When to stop and which response wins, as tables."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from redraft.server.refine import stopping
from redraft.server.refine.checks import read_check, verify_all
from redraft.server.refine.policy import Policy
from redraft.server.refine.trace import ResponseText


@pytest.mark.parametrize(
    ("options", "scores", "reason"),
    [
        ({}, [10], None),
        ({"good_enough": 8}, [8], "good_enough"),
        ({"good_enough": 8}, [7], None),
        ({"good_enough": 8}, [None], None),
        ({"good_enough": 8, "keep": "best"}, [3, 8], "good_enough"),
        ({"keep": "best"}, [5, 6], None),
        ({"keep": "best"}, [5, 5], "no_gain"),
        ({"keep": "best"}, [5, 4], "no_gain"),
        ({"keep": "best"}, [None, 4], None),
        ({"keep": "last"}, [5, 4], None),
        ({"feedback_only": True}, [None], "good_enough"),
    ],
)
def test_what_feedback_decides(
    options: dict[str, Any], scores: list[int | None], reason: str | None
) -> None:
    assert stopping.after_feedback(Policy(**options), scores) == reason


QUOTED, SHORT = (read_check({"kind": "quoted"}), read_check({"kind": "words", "at_most": 2}))


@pytest.mark.parametrize(
    ("options", "text", "before", "after"),
    [
        ({}, '"One"', "checks_passed", "checks_passed"),
        ({}, "One", None, None),
        ({"good_enough": 5}, '"One"', None, "checks_passed"),
        ({"good_enough": 6}, '"One"', None, None),
        ({"good_enough": 5}, "One", None, None),
        ({"good_enough": 6, "feedback_by": "checks"}, '"One"', "checks_passed", None),
        ({"keep": "best"}, "One", None, None),  # though the score is no better
        ({"feedback_only": True}, '"One"', None, "good_enough"),
    ],
)
def test_what_checks_decide(
    options: dict[str, Any], text: str, before: str | None, after: str | None
) -> None:
    policy = Policy(checks=(QUOTED, SHORT), **options)
    findings = verify_all(policy.checks, text)
    assert stopping.before_feedback(policy, findings) == before
    assert stopping.after_feedback(policy, [7, 5], findings) == after


@pytest.mark.parametrize(
    ("texts", "scores", "kept"),
    [
        (["One", '"Two"', "Three"], [9, 1, 9], 1),
        (["One", "Two"], [3, 4], 1),
        (["One", "Two"], [None, None], 0),
        (['"One"', '"Two"'], [None, 3], 1),
        ([" ", "One two three"], [10, 1], 1),
    ],
)
def test_the_best_passes_most_checks_then_scores_best_then_is_earliest(
    texts: list[str], scores: list[int | None], kept: int
) -> None:
    checks = (QUOTED, SHORT)
    responses = [ResponseText(text, findings=verify_all(checks, text)) for text in texts]
    assert stopping.kept("best", responses, scores) == kept


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        (["a", "b"], None),
        (["a", "a"], "no_change"),
        (["a", " a\n"], "no_change"),
        (["a", "b", "a"], "no_change"),
        (["a", "b", "c"], None),
    ],
)
def test_what_a_refinement_decides(texts: list[str], reason: str | None) -> None:
    assert stopping.after_refinement([ResponseText(t) for t in texts]) == reason


@pytest.mark.parametrize(
    ("keep", "responses", "scores", "answer"),
    [
        ("last", ["a"], [None], 0),
        ("last", ["a", "b"], [3, None], 1),
        ("last", ["a", "b"], [9, 2], 1),
        ("last", ["a", "b", "a"], [3, 4, None], 0),
        ("best", ["a", "b"], [3, 8], 1),
        ("best", ["a", "b"], [8, 8], 0),
        ("best", ["a", "b"], [8, None], 0),
        ("best", ["a", "b"], [None, 2], 1),
        ("best", ["a", "b"], [None, None], 1),
        ("best", ["a", "b", "c"], [3, 9, 7], 1),
        ("last", ["a", "cut..."], [3, None], 0),
        ("best", ["a", "cut..."], [3, 9], 0),
        ("last", ["cut...", "also cut..."], [3, None], 1),
        ("last", ["a", ""], [3, None], 0),
        ("last", ["a", " \n"], [3, None], 0),
        ("best", ["a", ""], [3, 9], 0),
        ("last", ["cut...", ""], [3, None], 0),
        ("last", ["", ""], [None, None], 0),
    ],
)
def test_which_response_is_the_answer(
    keep: Literal["best", "last"], responses: list[str], scores: list[int | None], answer: int
) -> None:
    written = [
        ResponseText(t, finish_reason="length" if t.endswith("...") else "stop") for t in responses
    ]
    assert stopping.kept(keep, written, scores) == answer


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({"max_iterations": -1}, "max_iterations is -1"),
        ({"drafts": 0}, "drafts is 0"),
        ({"good_enough": 11}, "good_enough is 11"),
        ({"token_budget": -1}, "token_budget is -1"),
    ],
)
def test_a_policy_out_of_range_is_refused_by_name(options: dict[str, Any], wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        Policy(**options)
