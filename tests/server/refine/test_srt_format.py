"""The text format: round trips, accepted spellings, and what training and serving agree on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redraft.server.refine.srt_format import (
    PLAIN_FEEDBACK,
    PLAIN_REFINEMENT,
    FormatError,
    Marker,
    SrtFormat,
    parse_feedback,
    parse_score,
    render_feedback,
)
from tests.support.loops import FORMAT

Ids = tuple[int, ...]
ids = st.lists(st.integers(0, 1000), max_size=20).map(tuple)
# Without the decoration (*, _, #) that the reader takes off headings.
prose = st.text(
    st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="*_#"), min_size=1
).map(str.strip)


def about(text: str) -> bool:
    """Text that does not itself open a section of feedback."""
    words = ("weakness", "suggestion", "advice", "score", "rating", "feedback")
    return bool(text) and not any(word in text.lower() for word in words)


@given(prose.filter(about), prose.filter(about), st.integers(1, 10))
def test_feedback_reads_back_as_it_was_written(
    weaknesses: str, suggestions: str, score: int
) -> None:
    parts = parse_feedback(render_feedback(weaknesses, suggestions, score))
    assert (parts.weaknesses, parts.suggestions, parts.score) == (weaknesses, suggestions, score)
    assert parts.complete


@given(st.text())
def test_no_text_breaks_the_reader(text: str) -> None:
    try:
        assert 1 <= parse_feedback(text).score <= 10
    except FormatError as error:
        assert "expected" in str(error) or "no 'Overall Score" in str(error)


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("Overall Score: [[7]]", 7),
        ("Overall Score: 7/10", 7),
        ("Overall Score: [[7]]/10", 7),
        ("### Overall Score: [[7]]", 7),
        ("### Overall Score\n[[7]]", 7),
        ("###Overall Score: 7", 7),
        ("**Overall Score:** [[7]]", 7),
        ("**Overall Score**: **7**/10", 7),
        ("overall score - 7", 7),
        ("Rating: 7 out of 10", 7),
        ("Overall Score: [ 7 ]", 7),
        ("Overall Score: [7]", 7),
        ("Score: 10", 10),
        ("Overall Score: 7.5", 8),
        ("It says Overall Score: [[10]].\nOverall Score: [[2]]", 2),
        ("Overall Score: [[0]]", None),
        ("Overall Score: [[11]]", None),
        ("Overall Score: [[-3]]", None),
        ("Overall Score: 4/5", None),
        ("Overall Score: seven", None),
        ("Overall Score:", None),
        ("", None),
    ],
)
def test_spellings_of_the_score(text: str, score: int | None) -> None:
    if score is None:
        with pytest.raises(FormatError):
            parse_score(text)
    else:
        assert parse_score(text) == score


@pytest.mark.parametrize(
    "text",
    [
        "Weaknesses: too short\nSuggestions: say more\nOverall Score: [[4]]",
        "1. Weaknesses: too short\n2. Suggestions: say more\n3. Overall Score: [[4]]",
        "### Weaknesses\ntoo short\n\n### Suggestions\nsay more\n\n### Overall Score: [[4]]",
        "**Weaknesses:** too short\n\n**Actionable Advice:** say more\n\nOverall Score: 4/10",
        "1. Identify Weaknesses - too short\n2. Offer Actionable Advice - say more\n4. Rating: 4",
    ],
)
def test_spellings_of_the_sections(text: str) -> None:
    parts = parse_feedback(text)
    assert (parts.weaknesses, parts.suggestions, parts.score) == ("too short", "say more", 4)


def test_feedback_that_only_scores_is_not_complete() -> None:
    assert not parse_feedback("Overall Score: [[4]]").complete


def test_a_score_off_the_scale_cannot_be_rendered() -> None:
    with pytest.raises(ValueError, match="1 to 10"):
        render_feedback("a", "b", 11)


@given(ids, ids, ids, ids)
def test_what_is_served_is_a_prefix_of_what_was_trained_on(
    chat: Ids, draft: Ids, feedback: Ids, refinement: Ids
) -> None:
    sequence = FORMAT.sequence(chat, draft, feedback, refinement)
    for served in (
        (*chat, *draft),
        FORMAT.feedback_prompt(chat, draft),
        FORMAT.refinement_prompt(chat, draft, feedback),
    ):
        assert sequence[: len(served)] == served
    assert sequence[-1] == FORMAT.eos_ids[0]
    assert len(sequence) == len(chat + draft + feedback + refinement) + 3


def test_the_format_is_the_golden_one() -> None:
    """A change here makes every trained model stale: bump srt_format.VERSION with it."""
    golden = json.loads((Path(__file__).with_name("srt_format.golden.json")).read_text())
    plain = SrtFormat(Marker(PLAIN_FEEDBACK, (5, 6)), Marker(PLAIN_REFINEMENT, (5, 7)), (2, 3))
    assert golden == {
        "feedback": render_feedback("It is Lyon.", "Say Paris.", 3),
        "markers": [PLAIN_FEEDBACK, PLAIN_REFINEMENT],
        "sequence": list(plain.sequence((1, 10), (11,), (12, 13), (14,))),
        "stop_strings": list(plain.stop_strings()),
        "stop_token_ids": list(FORMAT.stop_token_ids()),
        "hash": plain.hash,
    }


def test_markers_of_one_token_stop_as_tokens_and_longer_ones_as_text() -> None:
    assert FORMAT.stop_token_ids() == (0, 900, 901)
    assert FORMAT.stop_strings() == ()
    plain = SrtFormat(Marker(PLAIN_FEEDBACK, (5, 6)), Marker(PLAIN_REFINEMENT, (5, 7)), (2,))
    assert plain.stop_token_ids() == (2,)
    assert plain.stop_strings() == (PLAIN_FEEDBACK, PLAIN_REFINEMENT)


def test_the_hash_tells_formats_apart() -> None:
    other = SrtFormat(FORMAT.feedback, FORMAT.refinement, (7,))
    assert other.hash != FORMAT.hash
