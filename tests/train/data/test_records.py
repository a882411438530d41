"""The records that travel from stage to stage, on disk and back."""

from __future__ import annotations

from pathlib import Path

import pytest

from redraft.server import jsonl
from redraft.server.engine.base import Message
from redraft.train.data.records import Lesson, PreferencePair, read_lessons, read_pairs, read_traces
from redraft.train.program import run
from redraft.train.stages import filter

MESSAGES = (Message("system", "Be brief."), Message("user", "A river?\u2028Any."))
LESSON = Lesson(MESSAGES, "Como.", "A lake.", "The Elbe.", 3, 9, (1, 2), "abc", "draft", "exact")
PAIR = PreferencePair(MESSAGES, "The Elbe.", "Como.", 9, 3, (1,), (2, 3), "abc", {"family": "x"})


def test_a_lesson_comes_back_as_it_was(tmp_path: Path) -> None:
    jsonl.write(tmp_path / "lessons.jsonl", [LESSON.to_json()])
    assert list(read_lessons(tmp_path / "lessons.jsonl")) == [LESSON]


def test_a_pair_comes_back_as_it_was(tmp_path: Path) -> None:
    jsonl.write(tmp_path / "pairs.jsonl", [PAIR.to_json()])
    assert list(read_pairs(tmp_path / "pairs.jsonl")) == [PAIR]


@pytest.mark.parametrize(
    "change",
    [
        {"draft": None},
        {"draft": 1},
        {"draught": "Como."},
        {"messages": None},
        {"messages": [{"role": "user", "content": 1}]},
    ],
)
def test_a_row_that_is_no_lesson_is_an_error_that_says_where(
    tmp_path: Path, change: dict[str, object]
) -> None:
    row = LESSON.to_json() | change
    bad = {name: value for name, value in row.items() if value is not None}
    jsonl.write(tmp_path / "lessons.jsonl", [LESSON.to_json(), bad])
    with pytest.raises(jsonl.LineError, match=r"lessons\.jsonl:2 needs a lesson \("):
        list(read_lessons(tmp_path / "lessons.jsonl"))


def test_a_bad_line_is_one_line_of_a_stage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "lessons.jsonl"
    path.write_text("nothing\n")
    assert run(filter.main, ["--data", str(path), "--output", str(tmp_path / "out")]) == 2
    expected = f"redraft train: {path}:1 needs a JSON object, got nothing\n"
    assert capsys.readouterr().err == expected


def test_a_folder_without_traces_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no \.jsonl files in"):
        list(read_traces(tmp_path))
