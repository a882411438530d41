"""Figures of mending: before and after, mended and spoiled, verdicts apart by what is right."""

from __future__ import annotations

from redraft.server.engine.base import Message
from redraft.train.data.records import Example
from redraft.train.mending_figures import Judged, MendingStep, figures


def judged(
    before: tuple[bool, ...], after: tuple[bool, ...], score: int | None, response: str = "new"
) -> Judged:
    kinds = ["no_commas", "titled"][: len(before)]
    example = Example((Message("user", "Do."),), meta={"kinds": kinds})
    return Judged(example, before, "old", (1,), [MendingStep("said", score, response, (2,), after)])


ROWS = [
    judged((False, True), (True, True), 5),  # mended
    judged((True, True), (True, True), 10, "old"),  # rightly left alone
    judged((True, True), (False, True), 5),  # spoiled
    judged((False, False), (False, False), None, "old"),  # unreadable
]


def test_levels_count_all_of_an_instructions_checks_and_each() -> None:
    found = figures(ROWS)
    assert found["prompt_level"] == [50.0, 50.0]
    assert found["instruction_level"] == [62.5, 62.5]
    assert (found["mended"], found["spoiled"]) == ([1], [1])


def test_verdicts_are_counted_apart_for_good_and_bad_drafts() -> None:
    found = figures(ROWS)
    assert found["readable"] == 75.0
    assert found["good_left_alone"] == 50.0
    assert found["bad_found"] == 50.0
    assert found["balanced_accuracy"] == 50.0


def test_each_kind_is_counted_before_and_after() -> None:
    assert figures(ROWS)["kinds"]["no_commas"] == {"of": 4, "held": [2, 2]}


def test_what_has_no_checks_counts_for_what_is_left_alone_only() -> None:
    plain = [judged((), (), 10, "old"), judged((), (), 4)]
    found = figures([*ROWS, *plain])
    assert found["with_checks"] == 4
    assert found["unchanged_without_checks"] == 50.0
    assert found["prompt_level"] == figures(ROWS)["prompt_level"]
