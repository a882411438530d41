"""How a response is split into words, sentences, paragraphs and lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redraft.server.refine.checks.splitting import Text, split_sentences


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("", []),
        ("   \n ", []),
        ("No full stop", ["No full stop"]),
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("Dr. Lee met Mr. A. Jones. They spoke.", ["Dr. Lee met Mr. A. Jones.", "They spoke."]),
        ("It costs 3.50 dollars. Buy it.", ["It costs 3.50 dollars.", "Buy it."]),
        ('He said "Go!" and left.', ['He said "Go!"', "and left."]),
        ("My answer is no. Go on.", ["My answer is no.", "Go on."]),
        ("I know J. K. Rowling. He does not.", ["I know J. K. Rowling.", "He does not."]),
        ("They sell tea, milk, etc. It is late.", ["They sell tea, milk, etc.", "It is late."]),
        ("See e.g. the sea. Go.", ["See e.g. the sea.", "Go."]),
        ("Wait... what? Wait... Then go.", ["Wait... what?", "Wait...", "Then go."]),
        ("A title\n\nand a line.", ["A title\n\nand a line."]),
        ("1. Mix\n2. Bake", ["1.", "Mix\n2.", "Bake"]),
        ("(It is late.) Go.", ["(It is late.)", "Go."]),
    ],
)
def test_sentences_end_at_marks_but_not_after_abbreviations(
    text: str, sentences: list[str]
) -> None:
    assert split_sentences(text) == sentences


def test_words_are_runs_of_letters_and_digits() -> None:
    assert Text("Don't pay 3.50 for well-known tea.").words == [
        *("Don", "t", "pay", "3", "50", "for", "well", "known", "tea")
    ]


def test_paragraphs_have_a_line_without_text_between_them() -> None:
    assert Text("\n\nOne\nstill one\n \n\nTwo\n").paragraphs == ["One\nstill one", "Two"]


@given(st.text(alphabet="aB1 .,!?…\n\"')\u2019", max_size=200))
def test_sentences_are_the_text_without_the_space_between_them(text: str) -> None:
    assert "".join("".join(split_sentences(text)).split()) == "".join(text.split())
