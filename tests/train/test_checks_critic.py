"""The checks as critic: exact feedback, and a refinement only where every check passes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from redraft.server.engine.base import Message, Sampling
from redraft.server.engine.scripted_engine import ScriptedEngine
from redraft.server.refine.checks import read_checks, verify_all
from redraft.server.refine.srt_format import parse_feedback
from redraft.train.checks_critic import ChecksCritic, ChecksScorer
from redraft.train.collector import CollectOptions, Collector
from redraft.train.critics import Taught, independent
from redraft.train.data.ledger import Ledger
from redraft.train.data.records import Example
from redraft.train.engines import EngineSpec
from redraft.train.paid_engine import Budget, PaidEngine, Refused, Spent

DRAFT = "The Elbe is long, wide and old. It is in Europe."
NO_COMMAS = {"kind": "without", "characters": ","}


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    yield ledger
    asyncio.run(ledger.close())


def example(*checks: dict[str, Any], **more: Any) -> Example:
    meta = {"checks": list(checks), "plain": "Describe a river.", "topic": "the river", **more}
    return Example((Message("user", "Describe a river. Mind the rules."),), meta=meta)


def teach(
    ledger: Ledger, *checks: dict[str, Any], samples: int = 0, draft: str = DRAFT, **replies: str
) -> Taught:
    def reply(asked: str, _: Sampling) -> str:
        return next((text for part, text in replies.items() if part in asked), "Nothing.")

    engine = ScriptedEngine(reply=reply)
    writer = PaidEngine(engine, ledger, "base", EngineSpec(), Budget(None), Spent())
    return asyncio.run(ChecksCritic(writer, samples).teach(example(*checks), draft))


def test_feedback_has_the_evidence_before_the_verdict_and_the_score_last(ledger: Ledger) -> None:
    said = teach(ledger, NO_COMMAS, {"kind": "sentences", "at_most": 2}).feedback
    assert '- no commas: found "is long, wide and". Not met.' in said.replace("Elbe ", "")
    assert "2 sentences. Met." in said
    assert said.splitlines()[-1].startswith("Overall Score: [[")
    assert parse_feedback(said).complete


def test_feedback_can_name_each_constraint_as_the_instruction_words_it(ledger: Ledger) -> None:
    engine = ScriptedEngine(reply=lambda *_: "Nothing.")
    writer = PaidEngine(engine, ledger, "base", EngineSpec(), Budget(None), Spent())
    critic = ChecksCritic(writer, quotes=True)
    worded = example(NO_COMMAS, said=["Refrain from the use\nof any commas."])
    taught = asyncio.run(critic.teach(worded, DRAFT))
    assert "- Refrain from the use of any commas: found " in taught.feedback
    assert taught.refinement == DRAFT.replace(",", "")
    assert (
        parse_feedback(taught.feedback).score
        == parse_feedback(teach(ledger, NO_COMMAS).feedback).score
    )
    with pytest.raises(Refused, match=r"meta\.said does not tell"):
        asyncio.run(critic.teach(example(NO_COMMAS), DRAFT))


def test_a_draft_that_fails_is_edited(ledger: Ledger) -> None:
    taught = teach(ledger, NO_COMMAS)
    assert taught.refinement == DRAFT.replace(",", "")
    assert taught.way == "edited"


def test_of_several_faults_some_are_mended_for_a_lesson_of_its_own(ledger: Ledger) -> None:
    faults = (NO_COMMAS, {"kind": "sentences", "at_most": 1}, {"kind": "lowercase"})
    partly = teach(ledger, *faults).partly
    hold = [finding.passed for finding in verify_all(read_checks(list(faults)), partly)]
    assert 0 < sum(hold) < 3
    assert teach(ledger, *faults).partly == partly
    assert teach(ledger, NO_COMMAS, {"kind": "sentences", "at_most": 2}).partly == ""


def test_a_lesson_is_followed_by_ones_on_drafts_that_are_mended_in_part_and_all(
    ledger: Ledger,
) -> None:
    engine = ScriptedEngine(reply=lambda *_: DRAFT)
    writer = PaidEngine(engine, ledger, "base", EngineSpec(), Budget(None), Spent())
    options = CollectOptions((), "", {}, {}, follow_ups=1.0, partly=True)
    collector = Collector(options, writer, ChecksCritic(writer))
    asyncio.run(collector.run([example(NO_COMMAS, {"kind": "sentences", "at_most": 1})]))
    drafted, mended, partly = collector.lessons[0]
    assert (drafted.draft_score, mended.draft_score) == (1, 10)
    assert mended.draft == mended.refinement == drafted.refinement
    assert 1 < (partly.draft_score or 0) < 10
    assert partly.refinement_score == 10


def test_responses_are_scored_by_how_many_checks_hold() -> None:
    asked = example(NO_COMMAS, {"kind": "sentences", "at_most": 1})
    texts = ["The Elbe.", "The Elbe. It is old.", "The Elbe, old. It flows."]
    all_hold, one_holds, none_holds = asyncio.run(independent(ChecksScorer(), asked, texts))
    assert all_hold is not None
    assert one_holds is not None
    assert none_holds is not None
    assert all_hold > one_holds > none_holds


def test_a_draft_that_passes_is_left_alone(ledger: Ledger) -> None:
    taught = teach(ledger, {"kind": "contains", "texts": ["Elbe"]})
    assert (taught.refinement, taught.way) == (DRAFT, "met")
    assert parse_feedback(taught.feedback).score == 10


def test_where_nothing_can_be_checked_there_is_nothing_to_mend(ledger: Ledger) -> None:
    taught = teach(ledger)
    assert (taught.refinement, taught.way) == (DRAFT, "nothing to check")
    assert parse_feedback(taught.feedback).complete
    assert parse_feedback(taught.feedback).score == 10


def test_what_must_be_added_is_written_by_the_model(ledger: Ledger) -> None:
    checks = {"kind": "contains", "texts": ["winter"]}
    taught = teach(ledger, checks, winter="In winter the river may freeze. It is cold.")
    assert taught.refinement == f"{DRAFT} In winter the river may freeze."


def test_a_sample_that_passes_comes_before_an_edit(ledger: Ledger) -> None:
    sampled = "The Elbe is long and wide and quite old. It is in Europe."
    taught = teach(ledger, NO_COMMAS, samples=2, wrong=sampled)
    assert (taught.refinement, taught.way) == (sampled, "sampled")
    other = teach(ledger, {**NO_COMMAS, "characters": ",!"}, samples=1, wrong="No, not this one.")
    assert other.way == "edited"


def test_what_cannot_be_mended_is_rejected_with_its_reason(ledger: Ledger) -> None:
    taught = teach(ledger, {"kind": "words", "at_least": 300})
    assert (taught.refinement, taught.way) == ("", "rejected: no edit passes the checks")
    long = DRAFT + " It is so and so and so and so" * 10 + "."
    taught = teach(ledger, {"kind": "placeholders", "at_most": 0}, NO_COMMAS, draft=long)
    assert taught.way == "edited"
    shorter = teach(ledger, {"kind": "without", "characters": "q"}, draft=f"Oh. {'Quick q. ' * 2}")
    assert shorter.way.startswith("rejected")


def test_an_instruction_without_checks_is_refused(ledger: Ledger) -> None:
    engine = ScriptedEngine("x")
    writer = PaidEngine(engine, ledger, "base", EngineSpec(), Budget(None), Spent())
    critic = ChecksCritic(writer)
    with pytest.raises(Refused, match=r"no meta\.checks"):
        asyncio.run(critic.teach(Example((Message("user", "Hello."),)), DRAFT))
    with pytest.raises(Refused, match="cannot be read"):
        asyncio.run(critic.teach(example({"kind": "zebra"}), DRAFT))


def test_the_score_of_a_response_is_that_of_its_checks(ledger: Ledger) -> None:
    engine = ScriptedEngine("x")
    writer = PaidEngine(engine, ledger, "base", EngineSpec(), Budget(None), Spent())
    critic = ChecksCritic(writer)
    asked = example(NO_COMMAS, {"kind": "contains", "texts": ["Elbe"]})
    scores = [asyncio.run(critic.score(asked, text)) for text in ("A, b", DRAFT, "The Elbe")]
    assert scores == sorted(scores, key=lambda score: score or 0)
    assert scores[-1] == 10
