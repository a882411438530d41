"""From constraints to a tuned adapter and what it mends: every stage, on a tiny model."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from redraft.server import jsonl
from redraft.server.engine.base import Message
from redraft.server.engine.scripted_engine import ScriptedEngine
from redraft.server.options import ConfigError
from redraft.train.data.records import Example, read_lessons
from redraft.train.mending_figures import Judged
from redraft.train.stages import collect, constraints, mending, sft
from redraft.train.stages.sft import SftOptions
from tests.support import tiny_model

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mending")
    tiny_model.build(folder / "model")
    options = ["--count", "24", "--sets", "3", "--output", str(folder / "rows.jsonl")]
    constraints.main(options)
    return folder


@pytest.fixture(scope="module")
def collected(folder: Path) -> Path:
    given = ["--data", str(folder / "rows.jsonl"), "--output", str(folder / "lessons")]
    given += ["--model", f"model={folder / 'model'}", "within=transformers"]
    given += ["--critic", "checks", "--max-tokens", "24", "--follow-ups", "1", "--partly"]
    assert collect.main(given) == 0
    return folder / "lessons" / "collected.jsonl"


def test_rows_of_one_instruction_share_a_draft_and_the_ways_are_told(collected: Path) -> None:
    lessons = list(read_lessons(collected))
    drafts: dict[str, set[str]] = {}
    for lesson in lessons:
        if lesson.draft_ids:
            drafts.setdefault(lesson.meta["plain"], set()).add(lesson.draft)
    assert all(len(each) == 1 for each in drafts.values())
    summary = json.loads((collected.parent / "collect.json").read_text())
    assert sum(summary["ways"].values()) == len(lessons)
    assert summary["spent"]["reused"] > 0 or summary["spent"]["calls"] < len(lessons)


def test_lessons_are_followed_by_their_refinements_and_none_is_told_twice(collected: Path) -> None:
    lessons = list(read_lessons(collected))
    assert 10 in {lesson.draft_score for lesson in lessons if not lesson.draft_ids}
    said = [(lesson.messages, lesson.draft) for lesson in lessons if lesson.draft_score == 10]
    assert len(said) == len(set(said))


def test_every_refinement_scores_highest(collected: Path) -> None:
    refined = [lesson for lesson in read_lessons(collected) if lesson.refinement]
    assert refined
    assert {lesson.refinement_score for lesson in refined} == {10}


def test_a_collection_that_ends_by_the_clock_keeps_what_was_made(folder: Path) -> None:
    given = ["--data", str(folder / "rows.jsonl"), "--output", str(folder / "late")]
    given += ["--model", f"model={folder / 'model'}", "within=transformers", "batch=1"]
    given += ["--critic", "checks", "--max-tokens", "4", "--max-seconds", "0"]
    assert collect.main(given) == 0
    summary = json.loads((folder / "late" / "collect.json").read_text())
    assert summary["left_out"] > 0


def test_an_adapter_is_measured_before_and_after_each_iteration(
    folder: Path, collected: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lessons = [lesson for lesson in read_lessons(collected) if lesson.refinement]
    jsonl.write(folder / "kept.jsonl", (lesson.to_json() for lesson in lessons))
    options = SftOptions(
        str(folder / "model"),
        str(folder / "adapter"),
        lessons=(str(folder / "kept.jsonl"),),
        mask_draft=True,
        copied_loss=0.34,
        lora={"r": 4, "target_modules": "all-linear"},
        trainer={"max_steps": 2, "per_device_train_batch_size": 2, "report_to": "none"},
    )
    sft.train(options)
    given = ["--data", str(folder / "rows.jsonl"), "--model", str(folder / "adapter")]
    given += ["--output", str(folder / "mending"), "--limit", "6", "--max-tokens", "12"]
    assert mending.main([*given, "--feedback-tokens", "12", "--refinement-tokens", "12"]) == 0
    found = json.loads((folder / "mending" / "mending.json").read_text())["rows"]
    assert found["instructions"] == 6
    assert len(found["prompt_level"]) == 3  # the draft and two iterations
    rows = list(jsonl.read(folder / "mending" / "mending.jsonl"))
    assert all(len(row["steps"]) == 2 for row in rows)
    assert "prompt_level" in capsys.readouterr().out


def test_nothing_to_measure_is_an_error(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "none.jsonl").write_text("")
    with pytest.raises(ConfigError, match="no instructions"):
        mending.main(["--data", str(tmp_path / "none.jsonl"), "--model", "m", "--output", "o"])


@pytest.mark.parametrize(
    ("meta", "reason"),
    [({}, "has no meta.checks"), ({"checks": [{"kind": "wrods"}]}, "cannot be read")],
)
def test_instructions_without_checks_are_told_before_a_model_is_loaded(
    meta: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "plain.jsonl"
    jsonl.write(path, [{"instruction": "Say hello.", "meta": meta}])
    with pytest.raises(ConfigError, match=reason):
        mending.main(["--data", str(path), "--model", "none", "--output", str(tmp_path / "out")])


def test_after_an_empty_refinement_the_response_before_is_judged_again() -> None:
    feedback = "Weaknesses: a comma. Overall Score: [[5]]"
    engine = ScriptedEngine("Once, long ago.", feedback, "", feedback, "Once long ago.")
    options = mending.MendingOptions(("rows.jsonl",), "model", "out")
    mender = mending.Mender(engine, engine, tiny_model.srt_format(), options)
    meta = {"checks": [{"kind": "without", "characters": ","}]}
    example = Example((Message("user", "Tell a story."),), meta=meta)

    async def twice() -> Judged:
        judged = await mender.drafted(example)
        await mender.refined(judged)
        await mender.refined(judged)
        return judged

    judged = asyncio.run(twice())
    assert [step.response for step in judged.steps] == ["Once, long ago.", "Once long ago."]
    first, second = (engine.history[number].prompt for number in (1, 3))
    assert first == second
