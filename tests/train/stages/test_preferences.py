"""Pairs for stage two: from the model's own loop, from stored traces, and what is not a pair."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from redraft.server import jsonl
from redraft.server.engine.base import Engine, EngineUnavailable, Message
from redraft.server.engine.scripted_engine import Fail, ScriptedEngine
from redraft.server.options import ConfigError
from redraft.server.refine.trace import (
    Candidate,
    Feedback,
    Instruction,
    Iteration,
    ResponseText,
    Trace,
)
from redraft.server.refine.trace_json import trace_json
from redraft.server.telemetry.traces import TraceStore
from redraft.train.data.audit import audit, report
from redraft.train.data.ledger import Ledger
from redraft.train.data.records import Example, Lesson, PreferencePair, read_pairs, read_traces
from redraft.train.self_feedback import LoopSettings, SelfFeedback
from redraft.train.stages import preferences
from redraft.train.stages.preferences import PreferencesOptions, pair_of, pair_of_lesson
from redraft.train.workbench.tasks import answer, sample
from redraft.train.writers import DRAFTS_ELSEWHERE, Writers
from tests.support.loops import FORMAT, feedback

ASKED = (Message("user", "Name a river."),)


def trace(draft_score: int | None = 3, score: int | None = 8, **changes: Any) -> Trace:
    made = Trace(
        instruction=Instruction(ASKED),
        drafts=(Candidate(ResponseText("Como.", (1, 2))),),
        picked=0,
        iterations=(
            Iteration(Feedback("f", score=draft_score), ResponseText("The Elbe.", (3,))),
            Iteration(Feedback("f", score=score)),
        ),
        kept=1,
        stop_reason="max_iterations",
    )
    return replace(made, **changes)


def test_a_refinement_that_scores_higher_is_chosen_over_its_draft() -> None:
    made = trace()
    pair = pair_of(made, made.scores, 1, "a-tokenizer")
    assert pair == PreferencePair(ASKED, "The Elbe.", "Como.", 8, 3, (3,), (1, 2), "a-tokenizer")


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (trace(3, 3), "refinement not scored above its draft"),
        (trace(3, None), "not scored"),
        (trace(None, 8), "not scored"),
        (trace(stop_reason="malformed_feedback"), "malformed feedback"),
        (trace(iterations=(Iteration(Feedback("f", score=9)),)), "no refinement"),
        (trace(drafts=(Candidate(ResponseText("The Elbe. ")),)), "refinement repeats its draft"),
        (
            trace(drafts=(Candidate(ResponseText("Como", finish_reason="length")),)),
            "cut at its token limit",
        ),
        (trace(drafts=(Candidate(ResponseText(" ")),)), "empty"),
    ],
)
def test_what_is_no_pair_says_why(made: Trace, reason: str) -> None:
    assert pair_of(made, made.scores, 1, "") == reason


def test_a_margin_can_be_asked_for() -> None:
    made = trace(3, 5)
    assert isinstance(pair_of(made, made.scores, 2, ""), PreferencePair)
    assert pair_of(made, made.scores, 3, "") == "refinement not scored above its draft"


def test_the_best_of_several_refinements_is_chosen() -> None:
    made = trace()
    first, last = made.iterations
    middle = Iteration(Feedback("f", score=9), ResponseText("Rhine.", (4,)))
    made = replace(made, iterations=(first, middle, last))
    pair = pair_of(made, made.scores, 1, "")
    assert isinstance(pair, PreferencePair)
    assert (pair.chosen, pair.chosen_score) == ("The Elbe.", 9)


def test_a_critics_lesson_can_be_a_pair() -> None:
    lesson = Lesson(ASKED, "Como.", "f", "The Elbe.", 3, 9, (1, 2), "a-tokenizer")
    pair = pair_of_lesson(lesson, 1)
    assert isinstance(pair, PreferencePair)
    assert (pair.chosen, pair.rejected, pair.rejected_ids) == ("The Elbe.", "Como.", (1, 2))
    assert pair_of_lesson(replace(lesson, refinement_score=3), 1) == (
        "refinement not scored above its draft"
    )


def test_what_the_server_stored_is_read_back_torn_end_and_all(tmp_path: Path) -> None:
    store = TraceStore(tmp_path)
    for _ in range(3):
        store.append("id", "model", trace())
    store.close()
    (file,) = tmp_path.glob("*.jsonl")
    with file.open("a") as torn:
        torn.write('{"id": "torn')
    found = list(read_traces(tmp_path))
    assert [t.scores for t in found] == [(3, 8)] * 3
    assert [r.text for r in found[0].responses] == ["Como.", "The Elbe."]
    assert found[0].instruction.messages == ASKED


@pytest.mark.parametrize("wrap", ["refine", "trace", "flat"])
def test_responses_of_the_api_are_traces_too(tmp_path: Path, wrap: str) -> None:
    told: dict[str, Any] = trace_json(trace())
    held = {
        "refine": {"refine": {"stop_reason": "x", "trace": told}},
        "trace": {"trace": told},
        "flat": told,
    }[wrap]
    row = {"messages": [{"role": "user", "content": "Name a river."}], **held}
    (tmp_path / "a.jsonl").write_text(json.dumps(row) + "\n")
    (found,) = read_traces(tmp_path / "a.jsonl")
    assert found.scores == (3, 8)


def test_traces_become_pairs_scored_by_someone_else(tmp_path: Path) -> None:
    (task,) = sample("dev", None, 1, seed=1)
    known = Instruction((Message("user", task.instruction),))
    right = (Iteration(Feedback("f"), ResponseText(answer(task))),)
    store = TraceStore(tmp_path / "traces")
    store.append("1", "model", trace(None, None, instruction=known, iterations=right))
    store.append("2", "model", trace(None, None))
    store.close()
    options = PreferencesOptions(
        output=str(tmp_path / "out"),
        traces=(str(tmp_path / "traces"),),
        critic={"model": "exact"},
    )
    assert asyncio.run(preferences.prefer(options)) == 0
    (pair,) = read_pairs(tmp_path / "out" / "pairs.jsonl")
    assert (pair.chosen, pair.chosen_score) == (answer(task), 10)
    told = json.loads((tmp_path / "out" / "preferences.json").read_text())
    assert told["rejected"] == {"not scored": 1}  # no instruction of the workbench


def test_checks_do_not_score_what_the_server_stored(tmp_path: Path) -> None:
    arguments = ["--traces", str(tmp_path), "--critic", "checks", "--output", str(tmp_path / "out")]
    with pytest.raises(ConfigError, match="traces do not say what was to be checked"):
        preferences.main(arguments)


def loop(engine: Engine, ledger: Ledger, **settings: Any) -> SelfFeedback:
    setting = LoopSettings(1, 0.7, 60, seed=0, **settings)
    return SelfFeedback(engine, "weights", FORMAT, setting, ledger, concurrency=16)


def test_the_model_works_on_itself_and_a_second_run_costs_nothing(tmp_path: Path) -> None:
    engine = ScriptedEngine("Como.", feedback(3), "The Elbe.", feedback(8))

    async def run() -> None:
        ledger = Ledger(tmp_path / "ledger.jsonl")
        first = loop(engine, ledger)
        (made,) = await first.run([Example(ASKED)])
        assert made.scores == (3, 8)
        again = loop(ScriptedEngine(), ledger)
        (same,) = await again.run([Example(ASKED)])
        assert again.reused == 1
        assert [r.token_ids for r in same.responses] == [r.token_ids for r in made.responses]
        await ledger.close()

    asyncio.run(run())
    assert len(engine.history) == 4


def test_a_refinement_that_someone_else_scores_is_not_scored_by_the_model(tmp_path: Path) -> None:
    engine = ScriptedEngine("Como.", feedback(3), "The Elbe.")

    async def run() -> None:
        ledger = Ledger(tmp_path / "ledger.jsonl")
        (made,) = await loop(engine, ledger, scored_last=False).run([Example(ASKED)])
        assert [r.text for r in made.responses] == ["Como.", "The Elbe."]
        await ledger.close()

    asyncio.run(run())
    assert len(engine.history) == 3


def test_another_model_can_draft(tmp_path: Path) -> None:
    tuned, base = ScriptedEngine(feedback(3), "The Elbe."), ScriptedEngine("Como.")

    async def run() -> None:
        ledger = Ledger(tmp_path / "ledger.jsonl")
        both = loop(Writers(tuned, base), ledger, scored_last=False)
        both.adapters = DRAFTS_ELSEWHERE
        (made,) = await both.run([Example(ASKED)])
        assert [r.text for r in made.responses] == ["Como.", "The Elbe."]
        await ledger.close()

    asyncio.run(run())
    assert (len(base.history), len(tuned.history)) == (1, 2)


def test_an_engine_that_fails_leaves_no_trace_behind(tmp_path: Path) -> None:
    async def run() -> None:
        ledger = Ledger(tmp_path / "ledger.jsonl")
        broken = ScriptedEngine("Como.", Fail(EngineUnavailable("gone")), model="weights")
        run = loop(broken, ledger)
        assert await run.run([Example(ASKED)]) == []
        assert "gone" in run.failures[0]["reason"]
        assert not ledger.entries
        await ledger.close()

    asyncio.run(run())


def test_the_audit_shows_length_bias_duplicates_and_margins() -> None:
    pairs = [
        PreferencePair(ASKED, "a long answer", "short", 8, 3),
        PreferencePair(ASKED, "a long answer", "short", 8, 3),
        PreferencePair((Message("user", "Else."),), "no", "yes", 6, 5),
    ]
    found = audit(pairs)
    assert found["chosen_longer"] == pytest.approx(2 / 3)
    assert found["duplicate_pairs"] == 1
    assert found["instructions"] == 2
    assert found["margins"] == {"1": 1, "5": 2}
    assert found["length_ratio"] == pytest.approx(28 / 13)
    assert "1 duplicate pairs" in report(found)


def test_pairs_that_would_teach_length_are_not_gone_on_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lesson = Lesson(ASKED, "Como.", "f", "It is the Elbe, a long river.", 3, 9)
    jsonl.write(tmp_path / "kept.jsonl", [lesson.to_json()])
    options = PreferencesOptions(
        output=str(tmp_path / "out"),
        lessons=(str(tmp_path / "kept.jsonl"),),
        max_length_ratio=1.5,
    )
    assert asyncio.run(preferences.prefer(options)) == 1
    assert "times as long as rejected ones" in capsys.readouterr().out
    assert asyncio.run(preferences.prefer(replace(options, max_length_ratio=None))) == 0
