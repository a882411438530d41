"""The figures of the model card, from recorded answers, and the card and policy made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import pytest

from redraft.benchmarks.workbench import card, card_tables, figures
from redraft.benchmarks.workbench.judge import judged
from redraft.train.workbench import critic
from redraft.train.workbench.families import FAMILIES
from redraft.train.workbench.tasks import Task, answer, sample, task_for

pytestmark = pytest.mark.slow  # many small servers and loops: seconds in all

WRONG = "I do not know."


def recorded(task: Task, *responses: str) -> dict[str, Any]:
    """As evaluate records it, with the exact critic's own feedback on each response but the
    last."""
    arguments = [critic.feedback(task, response) for response in responses[:-1]]
    scores = [10 if "[[10]]" in text else 1 for text in arguments]
    return {
        "family": task.family,
        "instruction": task.instruction,
        "responses": list(responses),
        "feedback": [
            {"text": text, "score": score} for text, score in zip(arguments, scores, strict=True)
        ],
        "malformed": 0,
        "stop_reason": "max_iterations",
        "tokens": {"draft": 5, "feedback": 40 * len(arguments), "refinement": 5 * len(arguments)},
    }


def mended(count: int, spoilt: int = 0) -> list[dict[str, Any]]:
    """Answers of all families, every other draft wrong and mended, the first right ones spoilt."""
    rows = []
    for number, task in enumerate(sample("test", None, count, seed=1)):
        right = answer(task)
        if number % 2:
            rows.append(recorded(task, WRONG, right))
        else:
            rows.append(recorded(task, right, WRONG if number < 2 * spoilt else right))
    return rows


def base_of(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [recorded(task_for(row["instruction"]), WRONG) for row in rows]


def test_the_interval_is_wilsons() -> None:
    outcome = figures.share([True] * 8 + [False] * 2)
    assert (outcome.count, outcome.of, outcome.value) == (8, 10, 0.8)
    assert outcome.low == pytest.approx(0.4902, abs=1e-4)
    assert outcome.high == pytest.approx(0.9433, abs=1e-4)


def test_a_share_of_nothing_says_nothing() -> None:
    assert asdict(figures.share([])) == {"count": 0, "of": 0, "low": 0.0, "high": 1.0}


def test_quality_and_flips_count_what_refining_did() -> None:
    tuned = mended(40, spoilt=3)
    outcome = figures.quality(base_of(tuned), tuned, 2)
    assert [outcome[name].count for name in ("base", "draft", "refined_1", "refined_2")] == [
        0,
        20,
        37,
        37,
    ]
    flips = figures.flips(tuned, 1)
    assert (flips["right_to_wrong"].count, flips["right_to_wrong"].of) == (3, 20)
    assert (flips["wrong_to_right"].count, flips["wrong_to_right"].of) == (20, 20)


def test_feedback_is_held_against_the_exact_critics() -> None:
    tuned = mended(20)
    tuned[0]["feedback"][0] = {"text": "Weaknesses: all.\nOverall Score: [[2]]", "score": 2}
    outcome = figures.feedback(tuned)
    assert (outcome["verdict"].count, outcome["word_for_word"].count) == (19, 19)


def test_calibration_counts_right_drafts_by_score() -> None:
    assert figures.calibration(mended(20)) == [
        {"score": 1, "responses": 10, "right": 0},
        {"score": 10, "responses": 10, "right": 10},
    ]


def test_each_answer_can_be_judged_by_itself() -> None:
    mended_row, scoreless = mended(2)[1], mended(4)[3]
    scoreless["feedback"][0]["score"] = None
    outcome = judged({**mended_row, "stop_reason": "max_iterations"})
    assert (outcome["right"], outcome["verdict"], outcome["tokens"]) == ([False, True], True, 50)
    assert judged({**scoreless, "stop_reason": "max_iterations"})["verdict"] is None


def test_the_win_rate_counts_ties_half() -> None:
    tuned = mended(40, spoilt=10)
    outcome = figures.win_rate(base_of(tuned), tuned, 1)
    assert outcome["value"] == pytest.approx((30 + 10 * 0.5) / 40)
    assert outcome["low"] < outcome["value"] < outcome["high"]


def test_the_gate_is_held_against_stopping_later_and_never() -> None:
    tuned = [{**row, "stop_reason": "max_iterations"} for row in mended(20)]
    gated = [{**row, "tokens": {"draft": 5, "feedback": 20, "refinement": 0}} for row in tuned]
    outcome = figures.gate(tuned, gated, 1)
    assert outcome["saved"] == outcome["saved_of_unstopped"] == pytest.approx(1 - 25 / 50)


def test_a_loop_that_never_stops_repeats_its_last_iteration() -> None:
    stopped = {**mended(1)[0], "stop_reason": "no_change"}
    feedback, response = stopped["feedback"][0]["text"], stopped["responses"][1]
    spent = figures.unstopped(stopped, 3, lambda text: len(text.split()))
    assert spent == 50 + 2 * (len(feedback.split()) + len(response.split()))


def of_all(tuned: list[dict[str, Any]]) -> card.Recorded:
    return card.Recorded(base_of(tuned), tuned, tuned, tuned, tuned, tuned, tuned)


def test_the_card_shows_every_family_and_every_placeholder_is_filled() -> None:
    result = {
        "about": "Parts of feedback.",
        "tables": [{"columns": ["taught", "right"], "rows": [["all", "3%"]], "note": "So few."}],
    }
    outcome = card.computed(of_all(mended(60)))
    text = card_tables.render(outcome, {"base": 90.0, "stage1": 600.0}, [result])
    assert "<!--" not in text
    for name in FAMILIES:
        assert f"| {name} (" in text
    assert "| all | 3% |" in text and "So few." in text
    assert "12 minutes in all: base 1.5, stage1 10.0" in text


def test_the_policy_stops_where_more_iterations_do_not_help() -> None:
    outcome = card.computed(of_all(mended(40)))
    policy = card.best_policy(outcome["dev"])
    assert (policy.max_iterations, policy.good_enough, policy.keep) == (1, 10, "last")
