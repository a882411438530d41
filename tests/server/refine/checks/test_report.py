"""Findings as feedback: in the form a model is trained on, with a score from how many hold."""

from __future__ import annotations

import pytest

from redraft.server.refine.checks import read_checks, score_of, verify_all
from redraft.server.refine.checks.report import feedback_of
from redraft.server.refine.srt_format import parse_feedback

CHECKS = read_checks([{"kind": "without", "characters": ","}, {"kind": "words", "at_least": 5}])


def test_feedback_names_each_violation_with_its_evidence_and_what_to_do() -> None:
    feedback = feedback_of(verify_all(CHECKS, "It was fun, easy and short."))
    assert feedback.text == (
        "Weaknesses: \n"
        '- no commas: found "It was fun, easy and". Not met.\n'
        "- at least 5 words: 6 words. Met.\n"
        "Suggestions: \n"
        "- Remove all commas.\n"
        "Overall Score: [[5]]"
    )
    parts = parse_feedback(feedback.text)
    assert (parts.weaknesses, parts.suggestions) == (feedback.weaknesses, feedback.suggestions)
    assert parts.score == feedback.score == 5


def test_feedback_on_a_response_that_passes_has_nothing_to_change() -> None:
    feedback = feedback_of(verify_all(CHECKS, "It was fun and easy."))
    assert feedback.suggestions == "Nothing to change."
    assert feedback.score == 10


@pytest.mark.parametrize(
    ("response", "score"),
    [("one, two", 1), ("one, two, three, four, five", 5), ("one two three four five", 10)],
)
def test_the_score_comes_from_how_many_checks_hold(response: str, score: int) -> None:
    assert score_of(verify_all(CHECKS, response)) == score


def test_the_highest_score_means_that_all_hold() -> None:
    nearly_all = read_checks([*[{"kind": "words", "at_least": 1}] * 30, {"kind": "quoted"}])
    assert score_of(verify_all(nearly_all, "Nearly all.")) == 9
