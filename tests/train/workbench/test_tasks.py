"""Workbench tasks: drawn by seed, split by content, recovered from their text."""

from __future__ import annotations

import random
import re
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redraft.train.workbench.families import FAMILIES
from redraft.train.workbench.families.family import HELD_OUT_WORDINGS
from redraft.train.workbench.tasks import Split, UnknownInstruction, sample, split_of, task_for

SPLITS: tuple[Split, ...] = get_args(Split)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_task_is_recovered_from_its_text(name: str) -> None:
    for held_out in (False, True):
        for task in sample("train", name, 60, seed=3, held_out_wordings=held_out):
            found = task_for(task.instruction)
            assert (found.family, found.wording, found.held_out) == (name, task.wording, held_out)
            canonical = FAMILIES[name].normalise(dict(task.slots))
            assert FAMILIES[name].normalise(dict(found.slots)) == canonical


@pytest.mark.parametrize("name", FAMILIES)
def test_no_content_is_in_two_splits_whatever_its_wording(name: str) -> None:
    family, rng = FAMILIES[name], random.Random(5)
    for _ in range(50):
        slots = family.draw(rng)
        texts = [wording.format(**slots) for wording in family.wordings]
        assert len({split_of(name, task_for(text).slots) for text in texts}) == 1


@pytest.mark.parametrize("name", FAMILIES)
def test_every_split_has_two_hundred_different_tasks_of_every_family(name: str) -> None:
    for split in SPLITS:
        tasks = sample(split, name, 200, seed=1)
        assert len({task.instruction for task in tasks}) == 200
        assert {split_of(name, task.slots) for task in tasks} == {split}


def test_the_same_seed_draws_the_same_tasks_and_another_seed_others() -> None:
    first = [task.instruction for task in sample("test", None, 50, seed=1)]
    assert first == [task.instruction for task in sample("test", None, 50, seed=1)]
    assert first != [task.instruction for task in sample("test", None, 50, seed=2)]


def test_held_out_wordings_are_never_drawn_unless_asked_for() -> None:
    for task in sample("train", None, 300, seed=1):
        assert task.wording < len(FAMILIES[task.family].wordings) - HELD_OUT_WORDINGS
        assert not task.held_out


def test_held_out_wordings_use_only_words_of_the_others() -> None:
    families = FAMILIES.values()
    trained = {w for f in families for w in _words(f.wordings[:-HELD_OUT_WORDINGS])}
    for family in families:
        assert not _words(family.wordings[-HELD_OUT_WORDINGS:]) - trained, family.name


def _words(wordings: tuple[str, ...]) -> set[str]:
    return {word for wording in wordings for word in re.findall(r"(?<!{)\b[A-Za-z]+", wording)}


@given(st.text(max_size=80))
def test_any_other_text_is_refused_with_a_hint(text: str) -> None:
    with pytest.raises(UnknownInstruction, match="redraft train tasks"):
        task_for(f"Tell me a story about {text}")


def test_asking_for_more_tasks_than_there_are_is_an_error() -> None:
    with pytest.raises(ValueError, match="has no"):
        sample("dev", "names", 100_000, seed=1)
