"""IFEval's own checkers: what they say of texts whose verdicts are known, always the same."""

from __future__ import annotations

import random

import pytest

from redraft.benchmarks.data import IFEVAL
from redraft.benchmarks.grading.constrained import read_prompts
from redraft.benchmarks.grading.published_ifeval import PublishedIfeval
from tests.support.published_ifeval import published_ifeval


@pytest.fixture(scope="module")
def published() -> PublishedIfeval:
    return published_ifeval()


@pytest.mark.parametrize(
    ("kind", "arguments", "text", "follows"),
    [
        ("punctuation:no_comma", {}, "pears and figs", True),
        ("punctuation:no_comma", {}, "pears, figs", False),
        ("length_constraints:number_sentences", ("at least", 3), "Dr. Who came. He left.", False),
        ("length_constraints:number_sentences", ("at least", 2), "Dr. Who came. He left.", True),
        ("language:response_language", {"language": "de"}, "Das ist ein kleines Haus.", True),
        ("detectable_format:title", {}, "<<The sea>>\nIt is calm.", True),
    ],
)
def test_what_they_say(
    published: PublishedIfeval, kind: str, arguments: object, text: str, follows: bool
) -> None:
    if isinstance(arguments, tuple):
        arguments = {"relation": arguments[0], "num_sentences": arguments[1]}
    assert isinstance(arguments, dict)
    assert published.follows(kind, arguments, text) is follows


def test_they_grade_every_prompt_and_draw_nothing_at_random(published: PublishedIfeval) -> None:
    """Two prompts count "#" and "!", for which the published checkers draw a letter."""
    drawn = [p for p in read_prompts(IFEVAL) if any("letter" in each for each in p.arguments)]
    text = "A letter, and some more letters! " * 6
    random.seed(1)
    before = [published(prompt, text) for prompt in drawn]
    random.seed(2)
    state = random.getstate()
    assert [PublishedIfeval()(prompt, text) for prompt in drawn] == before
    assert random.getstate() == state
    assert len(before) == 33


def test_an_empty_response_meets_nothing(published: PublishedIfeval) -> None:
    prompt = read_prompts(IFEVAL)[0]
    assert not any(published(prompt, " \n").loose)
