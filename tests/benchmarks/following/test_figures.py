"""Figures of courses that are made by hand, so that every number is known."""

from __future__ import annotations

import pytest

from redraft.benchmarks.following.courses import PromptCourse
from redraft.benchmarks.following.figures import Figures, figures_of
from redraft.benchmarks.following.graded import grade
from redraft.benchmarks.following.tables import tables
from redraft.benchmarks.grading.constrained import ConstrainedPrompt, Met, by_checks
from redraft.benchmarks.grading.graders import CHECKS, PUBLISHED
from redraft.server.refine.checks import read_check

LOWER, SHORT = read_check({"kind": "lowercase"}), read_check({"kind": "words", "at_most": 3})
PROMPT = ConstrainedPrompt("Say it small and short.", ("lower", "short"), ((LOWER,), (SHORT,)))
GOOD, LOUD, BAD = "a b c", "A b c", "A b c d"


def course(*responses: str, score: int | None = 3, malformed: int = 0) -> PromptCourse:
    """Ten tokens a draft, twenty all in all."""
    return PromptCourse(
        draft=responses[0],
        responses=responses,
        answer=responses[-1],
        first_score=score,
        num_feedbacks=int(score is not None),
        num_malformed=malformed,
        stop_reason="max_iterations",
        draft_tokens=10,
        tokens=20,
        draft_seconds=2.0,
        seconds=3.0,
        draft_read=30,
        read=75,
    )


COURSES = [
    course(BAD, GOOD),  # mended
    course(GOOD, LOUD),  # spoiled
    course(GOOD, score=10),  # left alone
    course(BAD, LOUD),  # one constraint of two
    course(BAD, score=10),  # wrong, and called right
    course(LOUD, score=None, malformed=2),  # cannot be read
]


def figures(courses: list[PromptCourse]) -> Figures:
    return figures_of(grade([(PROMPT, each) for each in courses], {CHECKS: by_checks}))


def test_shares_are_of_prompts_and_of_constraints() -> None:
    shares = figures(COURSES)["graders"][CHECKS]["shares"]
    draft, answer = (shares[stage] for stage in ("draft", "answer"))
    assert draft["prompt strict"].estimate == pytest.approx(100 * 2 / 6)
    assert answer["prompt strict"].estimate == pytest.approx(100 * 2 / 6)
    assert draft["constraint strict"].estimate == pytest.approx(100 * 5 / 12)
    assert answer["constraint strict"].estimate == pytest.approx(100 * 7 / 12)
    assert draft["prompt strict"].n == 6


def test_a_gain_is_paired_and_its_interval_holds_it() -> None:
    gain = figures(COURSES)["graders"][CHECKS]["gains"]["answer"]["constraint strict"]
    assert gain.estimate == pytest.approx(100 * 2 / 12)
    assert gain.low < gain.estimate < gain.high
    assert (
        figures([COURSES[0]] * 5)["graders"][CHECKS]["gains"]["answer"]["prompt strict"].low == 100
    )


def test_mended_and_spoiled_are_shares_of_all() -> None:
    flips = figures(COURSES)["graders"][CHECKS]["flips"]
    assert flips["mended"].estimate == flips["spoiled"].estimate == pytest.approx(100 / 6)
    assert (flips["numbers"]["wrong_to_right"], flips["numbers"]["right_to_wrong"]) == (1, 1)


def test_feedback_that_cannot_be_read_finds_nothing_wrong() -> None:
    found = figures(COURSES)
    verdict = found["graders"][CHECKS]["verdict"]
    assert verdict["good_left_alone"].estimate == 50
    assert verdict["wrong_found"].estimate == 50
    assert verdict["balanced_accuracy"].estimate == 50
    assert found["loop"]["readable"].estimate == pytest.approx(100 * 5 / 6)


def test_costs_and_lengths_are_of_what_was_written() -> None:
    loop = figures(COURSES)["loop"]
    assert loop["more_tokens"].estimate == 10
    assert loop["time_ratio"].estimate == 150
    assert (loop["draft_read"].estimate, loop["read"].estimate) == (30, 75)
    assert loop["changed"].estimate == 50
    assert loop["length_ratio"].estimate == pytest.approx(100 * 5 / 7)  # of 5/7, 1 and 5/7


def test_what_no_cache_had_is_counted_by_phase() -> None:
    phases = {
        "draft": {"prompt_tokens": 40, "cached_tokens": 32, "completion_tokens": 9, "seconds": 1},
        "feedback": {"prompt_tokens": 60, "cached_tokens": 0, "completion_tokens": 9, "seconds": 1},
        "refinement": {"prompt_tokens": 90, "completion_tokens": 9, "seconds": 1},
    }
    reply = {
        "answer": GOOD,
        "stop_reason": "max_iterations",
        "usage": {"completion_tokens": 27, "phases": phases},
        "trace": {
            "drafts": [{"text": BAD, "tokens": 9}],
            "picked": 0,
            "malformed": 0,
            "iterations": [{"feedback": {"text": "", "score": None}, "refinement": None}],
        },
    }
    read = PromptCourse.of(reply)
    assert (read.draft_read, read.read) == (8, 8 + 60 + 90)


def test_kinds_are_counted_at_each_stage() -> None:
    kinds = figures(COURSES)["graders"][CHECKS]["kinds"]
    assert kinds["lower"] == {"of": 6, "draft": 2, "answer": 2}
    assert kinds["short"] == {"of": 6, "draft": 3, "answer": 5}


def test_a_loop_that_went_on_is_shown_after_each_iteration() -> None:
    shares = figures([course(BAD, LOUD, GOOD), course(GOOD, score=10)])["graders"][CHECKS]["shares"]
    strict = {stage: levels["prompt strict"].estimate for stage, levels in shares.items()}
    assert strict == {"draft": 50, "after 1": 50, "after 2": 100, "answer": 100}


def test_where_graders_differ_is_counted() -> None:
    def lenient(prompt: ConstrainedPrompt, response: str) -> Met:
        return Met((True, True), (True, True))

    graders = {PUBLISHED: lenient, CHECKS: by_checks}
    found = figures_of(grade([(PROMPT, COURSES[0])], graders))
    assert found["agreement"]["lower"] == {"texts": 2, "only published": 1, "only checks": 0}
    *_, differing = tables(found, "IFEval")
    assert differing.rows == (("lower", 2, 1, 0), ("short", 2, 1, 0))


def test_direct_answers_have_no_gain() -> None:
    reply = {"choices": [{"message": {"content": GOOD}, "finish_reason": "stop"}], "usage": {}}
    found = figures([PromptCourse.direct(reply)])
    assert list(found["graders"][CHECKS]["shares"]) == ["draft"]
    assert not found["graders"][CHECKS]["gains"]
    assert "| Redraft's checks, prompt strict | 100.0" in tables(found, "IFEval")[0].markdown()
