"""Constraints that are drawn can be said, read as checks, and do not contradict one another."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from redraft.server.refine.checks import read_checks
from redraft.train.constraints.drawing import draw, row
from redraft.train.constraints.topics import every, shuffled
from redraft.train.constraints.wordings import KINDS, TRAINED, UNSEEN, ConstraintKind

IFEVAL = Path(__file__).resolve().parents[3].parent / "shared/evaldata/ifeval/input_data.jsonl"


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_every_wording_of_a_kind_is_filled_and_its_checks_are_read(kind: ConstraintKind) -> None:
    for seed in range(20):
        for plain in shuffled(seed)[:1]:
            drawn = draw(plain, Random(seed), (kind,), count=1)
            assert drawn.kinds == (kind.name,)
            assert "{" not in drawn.text.replace("{ and }", "")
            read_checks(list(drawn.checks))


def test_there_are_sixty_kinds_and_each_has_wordings() -> None:
    assert len(TRAINED) >= 60
    assert all(len(set(kind.wordings)) >= 3 for kind in TRAINED)
    assert len(KINDS) == len(TRAINED) + len(UNSEEN)


def test_no_two_constraints_settle_the_same_aspect() -> None:
    random = Random(1)
    for plain in shuffled(1)[:500]:
        drawn = draw(plain, random, TRAINED)
        settled = Counter(aspect for name in drawn.kinds for aspect in KINDS[name].aspects)
        assert max(settled.values(), default=0) <= 1, drawn.text


def test_a_word_is_not_asked_for_and_forbidden_at_once() -> None:
    random = Random(2)
    for plain in shuffled(2)[:1000]:
        checks = draw(plain, random, TRAINED, count=3).checks
        wanted = {w for c in checks if c["kind"] == "contains" for w in c["texts"]}
        forbidden = {w for c in checks if c["kind"] == "excludes" for w in c["texts"]}
        assert not wanted & forbidden


def test_the_last_wording_of_a_kind_is_kept_for_tests() -> None:
    (kind,) = (kind for kind in TRAINED if kind.name == "no_commas")
    plain = every()[0]
    trained = {draw(plain, Random(seed), (kind,), count=1).text for seed in range(200)}
    held_out = draw(plain, Random(0), (kind,), held_out_wordings=True, count=1).text
    assert kind.wordings[-1] in held_out
    assert not any(kind.wordings[-1] in text for text in trained)


def test_what_is_to_be_repeated_is_everything_said_before_it() -> None:
    (kind,) = (kind for kind in TRAINED if kind.name == "repeats")
    drawn = draw(every()[3], Random(5), (kind,), count=1)
    assert drawn.checks[0]["text"] == every()[3].text
    assert drawn.text.startswith(every()[3].text)


def test_a_row_has_each_constraint_in_the_words_of_its_instruction() -> None:
    for seed in range(300):
        drawn = draw(every()[seed % 50], Random(seed), TRAINED)
        said = row(drawn)["meta"]["said"]
        assert len(said) == len(drawn.checks)
        assert all(words in drawn.text for words in said)


def test_a_row_says_for_which_instruction_its_draft_is_written() -> None:
    drawn = draw(every()[0], Random(1), TRAINED)
    assert "draft_for" not in row(drawn)["meta"]
    assert row(drawn, "Another instruction.")["meta"]["draft_for"] == "Another instruction."


def test_no_instruction_is_one_of_ifevals() -> None:
    """No eight words in a row, but for those of a wording: its kinds can be said in few ways."""
    if not IFEVAL.is_file():
        pytest.skip(f"IFEval is not here: {IFEVAL}")
    prompts = [json.loads(line)["prompt"] for line in IFEVAL.read_text().splitlines()]
    theirs = {run for prompt in prompts for run in runs(prompt)}
    assert not [plain.text for plain in every() if runs(plain.text) & theirs]
    wordings = [wording for kind in KINDS.values() for wording in kind.wordings]
    shared = [wording for wording in wordings if runs(wording) & theirs]
    assert len(shared) <= 0.05 * len(wordings), shared


def runs(text: str, length: int = 8) -> set[tuple[str, ...]]:
    words = text.lower().split()
    return {tuple(words[at : at + length]) for at in range(len(words) - length + 1)}
