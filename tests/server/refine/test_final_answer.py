"""Texts that answer alike have the same final answer, and the commonest of them wins a vote."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redraft.server.refine.final_answer import commonest, final_answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("2 + 2 is four.\n#### 4", "4"),
        ("So \\boxed{1,250.50} it is.", "1250.5"),
        ("The answer is 7. The answer is: **8**.", "8"),
        ("The answer is (B).", "b"),
        ("The final answer is Paris. I am sure.", "paris"),
        ("First 3, then 4.\nThat makes 12 apples.", "12"),
        ("She pays $1,200.00 in total.", "1200"),
        ("$18", "18"),
        ("1, 2, 3", "1 2 3"),
        ("Ant, bee, CAT.", "ant bee cat"),
        ("  \n", ""),
    ],
)
def test_the_final_answer_of_a_text(text: str, answer: str) -> None:
    assert final_answer(text) == answer


@given(st.text())
def test_any_text_has_one(text: str) -> None:
    assert final_answer(text) == final_answer(text.strip())


@pytest.mark.parametrize(
    ("texts", "scores", "chosen"),
    [
        (["Lyon", "Paris", "It: #### paris"], [9.0, 1.0, 1.0], 1),
        (["Lyon", "Paris.", "paris"], [9.0, 1.0, 2.0], 2),
        (["Lyon", "Paris"], [None, None], 0),
        (["Lyon", "Paris"], [None, 3.0], 1),
        (["Lyon", "", ""], [None, None, None], 0),
    ],
)
def test_the_commonest_wins_then_the_better_score_then_the_earlier(
    texts: list[str], scores: list[float | None], chosen: int
) -> None:
    assert commonest(texts, scores) == chosen
