"""The filter: the paper's two rules, each rejection with its reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from redraft.server import jsonl
from redraft.server.engine.base import Message
from redraft.train.data.records import Lesson, read_lessons
from redraft.train.stages.filter import FilterOptions, rejection, run

GOOD = Lesson(
    (Message("user", "Name a river."),),
    "Como.",
    "Weaknesses: It is a lake.\nSuggestions: Say Elbe.\nOverall Score: [[3]]",
    "The Elbe.",
    3,
    9,
)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"refinement_score": 3}, None),  # paper section 4.1: not lower
        ({"refinement_score": 2}, "refinement scored below its draft"),
        ({"refinement_score": None}, "not scored"),
        ({"draft": " "}, "empty draft"),
        ({"cut": "draft"}, "draft cut at its token limit"),
        ({"cut": "refinement"}, "refinement cut at its token limit"),
        ({"feedback": "Nice."}, "feedback without a score"),
        ({"feedback": "Suggestions: More.\nOverall Score: [[3]]"}, "feedback without weaknesses"),
        ({"feedback": "Weaknesses: Few.\nOverall Score: [[3]]"}, "feedback without suggestions"),
        ({"refinement": ""}, "no refinement"),
    ],
)
def test_a_lesson_is_kept_or_rejected_for_one_reason(
    change: dict[str, Any], reason: str | None
) -> None:
    assert rejection(replace(GOOD, **change)) == reason


def test_scores_can_be_done_without() -> None:
    assert rejection(replace(GOOD, draft_score=None), need_scores=False) is None


def test_a_draft_that_was_cut_can_be_kept_a_refinement_cannot() -> None:
    assert rejection(replace(GOOD, cut="draft"), keep_cut_drafts=True) is None
    assert rejection(replace(GOOD, cut="refinement"), keep_cut_drafts=True) is not None


def test_every_lesson_is_in_one_of_two_files(tmp_path: Path) -> None:
    lessons = [GOOD, replace(GOOD, cut="draft"), replace(GOOD, refinement="")]
    jsonl.write(tmp_path / "in.jsonl", (lesson.to_json() for lesson in lessons))
    counts = run(FilterOptions(str(tmp_path / "in.jsonl"), str(tmp_path / "out")))
    assert counts == {"kept": 1, "draft cut at its token limit": 1, "no refinement": 1}
    assert list(read_lessons(tmp_path / "out" / "kept.jsonl")) == [GOOD]
    rejected = [row["reason"] for row in jsonl.read(tmp_path / "out" / "rejected.jsonl")]
    assert rejected == ["draft cut at its token limit", "no refinement"]
