"""The form of prompted feedback: it can be read, it ends in time, and every engine's way of writing
it comes out as the same text."""

from __future__ import annotations

import json
from bisect import bisect_left

import pytest

from redraft.server.refine.feedback import read_feedback
from redraft.server.refine.feedback_form import SCHEMA, FeedbackForm, FormReader, grammar
from redraft.server.refine.trace import ResponseText

READABLE = (
    "Weaknesses:\n- It has several commas.\n- It is one sentence.\n"
    "Suggestions:\n- Remove every comma.\nOverall Score: [[4]]"
)
OBJECT = json.dumps(
    {"weaknesses": 'It says "score": 9,\nand commas \U0001f40b.', "suggestions": "Cut.", "score": 4}
)


def read(pieces: list[str]) -> list[str]:
    """What each piece adds to the feedback, and what its end adds."""
    reader = FormReader()
    return [*map(reader.push, pieces), reader.rest()]


# -- the grammar ------------------------------------------------------------------------------


def accepts(text: str, max_tokens: int = 512) -> bool:
    testing = pytest.importorskip("xgrammar.testing", reason="xgrammar comes with vLLM")
    accepted: bool = testing._is_grammar_accept_string(grammar(max_tokens), text)
    return accepted


def test_the_grammar_takes_feedback_in_the_form() -> None:
    assert accepts(READABLE)
    feedback = read_feedback(ResponseText(READABLE))
    assert (feedback.score, feedback.suggestions) == (4, "- Remove every comma.")


@pytest.mark.parametrize(
    "text",
    [
        "It is good.",
        READABLE.replace("[[4]]", "[[0]]"),
        READABLE.replace("[[4]]", "[[11]]"),
        READABLE.replace("\n- Remove every comma.", ""),
        READABLE + "\nThank you.",
        READABLE.replace("- Remove", "- " + "and again " * 100),
    ],
)
def test_the_grammar_takes_nothing_else(text: str) -> None:
    assert not accepts(text)


@pytest.mark.parametrize("max_tokens", [48, 100, 150, 256, 400, 512, 2000])
def test_the_longest_feedback_fits_its_limit(max_tokens: int) -> None:
    lines = max(1, min(3, (1 << (min(max_tokens, 512).bit_length() - 1)) // 128))
    lengths = range(10, 300)
    longest = (
        lengths[0]
        - 1
        + bisect_left(lengths, True, key=lambda n: not accepts(_of_lines(lines, n), max_tokens))
    )
    assert not accepts(_of_lines(lines + 1, 20), max_tokens)
    characters = len(_of_lines(lines, longest))
    assert characters / 3 <= max_tokens  # prose has more than three characters to a token


def _of_lines(lines: int, characters: int) -> str:
    body = ("\n- " + "x" * characters) * lines
    return f"Weaknesses:{body}\nSuggestions:{body}\nOverall Score: [[10]]"


def test_a_second_attempt_fits_a_model_of_one_token_for_each_character() -> None:
    first, second = (FeedbackForm().constraints(512, attempt)[0].value for attempt in (1, 2))
    assert "{8,240}" in first
    assert "{8,81}" in second


def test_limits_that_differ_a_little_share_a_grammar() -> None:
    assert grammar(300) == grammar(400) != grammar(600)


# -- the object -------------------------------------------------------------------------------


def test_the_schema_asks_for_the_three_parts() -> None:
    schema = json.loads(SCHEMA.value)
    assert schema["required"] == ["weaknesses", "suggestions", "score"]
    assert schema["properties"]["score"]["enum"] == list(range(1, 11))


def test_an_object_reads_as_feedback() -> None:
    text = "".join(read([OBJECT]))
    assert text == (
        'Weaknesses: It says "score": 9,\nand commas \U0001f40b.\n'
        "Suggestions: Cut.\nOverall Score: [[4]]"
    )
    assert read_feedback(ResponseText(text)).score == 4


def test_an_object_is_shown_while_it_arrives() -> None:
    whole = read([OBJECT])
    for size in (1, 2, 3, 7):
        pieces = [OBJECT[at : at + size] for at in range(0, len(OBJECT), size)]
        shown = read(pieces)
        assert "".join(shown) == "".join(whole)
        assert sum(map(bool, shown)) > 10 or size > 3


def test_free_text_is_shown_as_it_is() -> None:
    assert read(["  ", "Weak", "nesses: none"]) == ["", "  Weak", "nesses: none", ""]


def test_an_object_in_a_fence_reads_as_feedback() -> None:
    assert read_feedback(ResponseText("".join(read(["```json\n", OBJECT, "\n```"])))).score == 4


def test_an_object_without_the_parts_is_shown_as_it_is() -> None:
    assert "".join(read(['{"answer"', ": 4}"])) == '{"answer": 4}'


def test_json_that_is_none_is_shown_as_far_as_it_can_be_read() -> None:
    assert "".join(read(['{"weaknesses": "a \\x b", "score": 3}'])) == (
        "Weaknesses: a \\x b\nOverall Score: [[3]]"
    )
