"""The exact judge and critic: what they call right is right, what they write can be trusted."""

from __future__ import annotations

import random
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redraft.server.refine.srt_format import parse_feedback
from redraft.train.workbench import critic
from redraft.train.workbench.families import FAMILIES
from redraft.train.workbench.judge import judge
from redraft.train.workbench.tasks import Task, answer, sample, task_for
from tests.support.examples import examples

# An instruction, a right response, a wrong one, and what the judge must say of the wrong one.
BY_HAND = [
    ("Add 17, 25, 8.", "The total is 50.", "The total is 49.", 6),
    ("What is 17 + 25 + 8?", "50", "It makes 32.", 2),
    (
        "At first Ann has 34 cups. Then Ann buys 17, breaks 8. How many cups does Ann have now?",
        "There are 43.",
        "There are 42.",
        6,
    ),
    ("Which two of these numbers add up to 60: 12, 25, 31, 35?", "35 and 25", "12, 31", 2),
    ("Keep only the numbers that are even: 12, 47, 8, 3.", "12, 8", "12, 47, 8", 4),
    (
        "Sort these numbers, largest first: 12, 47, 8, 3.",
        "In order: 47, 12, 8, 3.",
        "In order: 47, 12, 3, 8.",
        4,
    ),
    (
        "Who has red now? At first: Ann red, Ben blue. Then these swap: Ann and Ben, Ben and Ann.",
        "It is with Ann.",
        "It is with Ben.",
        3,
    ),
    ("Count the letter a in these words: banana, cat.", "4", "The count is 3.", 6),
    (
        "Name 3 animals in alphabetical order, none starting with c or d.",
        "ant, bear and wolf",
        "ant, wolf, bear",
        6,
    ),
    (
        "Give 3 even numbers that add up to 60, starting with 12.",
        "12, 18, 30",
        "12, 18, 31",
        5,
    ),
]


@pytest.mark.parametrize(("instruction", "right", "wrong", "score"), BY_HAND)
def test_the_judge_agrees_with_judgements_made_by_hand(
    instruction: str, right: str, wrong: str, score: int
) -> None:
    task = task_for(instruction)
    assert judge(task, right).right
    assert judge(task, right).score == 10
    found = judge(task, wrong)
    assert not found.right
    assert found.problems
    assert found.score == score


@cache
def _tasks_of(family: str) -> tuple[Task, ...]:
    return tuple(sample("train", family, 50, seed=11))


def _other_response(task: Task) -> str:
    """A response to another task of the family: of the usual shape, mostly wrong."""
    return answer(random.Random(task.instruction).choice(_tasks_of(task.family)))


@pytest.mark.parametrize("name", FAMILIES)
def test_answers_are_right_and_refinements_of_wrong_responses_are_right(name: str) -> None:
    for task in sample("test", name, 150, seed=2):
        assert judge(task, answer(task)).right
        for response in ("", "no idea", answer(task), _other_response(task)):
            assert judge(task, critic.refinement(task, response)).right


@pytest.mark.parametrize("name", FAMILIES)
def test_a_right_response_is_kept_as_it_is_with_the_best_score(name: str) -> None:
    for task in sample("test", name, 50, seed=3):
        response = answer(task)
        parts = parse_feedback(critic.feedback(task, response))
        assert (parts.score, parts.suggestions) == (10, "Keep it.")
        assert critic.refinement(task, response) == response


@pytest.mark.parametrize("name", FAMILIES)
def test_feedback_is_complete_and_carries_the_judges_score(name: str) -> None:
    for task in sample("test", name, 50, seed=4):
        for response in (answer(task), _other_response(task), "no idea"):
            parts = parse_feedback(critic.feedback(task, response))
            assert parts.complete
            assert parts.score == judge(task, response).score
            assert (parts.score == 10) == judge(task, response).right


@settings(max_examples=examples(200), deadline=None)
@given(st.sampled_from(sorted(FAMILIES)), st.integers(0, 49), st.text(max_size=60))
def test_whatever_a_response_says_it_is_judged_and_mended(name: str, pick: int, text: str) -> None:
    task = _tasks_of(name)[pick]
    assert 1 <= judge(task, text).score <= 10
    assert judge(task, critic.refinement(task, text)).right


def test_the_score_falls_with_the_number_of_mistakes() -> None:
    task = task_for("Sort these numbers, smallest first: 1, 2, 3, 4, 5, 6, 7.")
    scores = [
        judge(task, text).score
        for text in ("1, 2, 3, 4, 5, 6, 7", "1, 2, 3, 4, 6, 5, 7", "1, 3, 2, 4, 5, 6, 7")
    ]
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) == len(scores)
