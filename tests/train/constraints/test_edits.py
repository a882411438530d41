"""A response is edited until every check passes, and is left alone where that cannot be done."""

from __future__ import annotations

from typing import Any

import pytest

from redraft.server.refine.checks import KINDS, Kind, read_checks, verify_all
from redraft.train.constraints.edits import ModelTexts, Needs, mend, needs, title_of

TEXT = """Tea is a drink, made of leaves, that many people like. Here's how it is made:

1. **Boil** the water, but not for long.
2. **Pour** it over the leaves; wait for 3 minutes.

It isn't hard! Do you like tea? Everyone in the village drinks it in the morning."""
WRITTEN = ModelTexts(
    continuation="It grows on hills. The best leaves are picked by hand. Rain is good for them.",
    sentences=("Winter is a good time for tea.",),
    questions=("What do you drink?",),
    second="Coffee is another drink.",
)

MENDED: list[dict[str, Any]] = [
    {"kind": "without", "characters": ","},
    {"kind": "without", "characters": "!"},
    {"kind": "without", "characters": "?"},
    {"kind": "without", "characters": ":;"},
    {"kind": "without", "characters": "'"},
    {"kind": "without", "characters": "vV"},
    {"kind": "numbers", "at_most": 0},
    {"kind": "lowercase"},
    {"kind": "uppercase"},
    {"kind": "title_case"},
    {"kind": "quoted"},
    {"kind": "titled"},
    {"kind": "headings", "at_least": 1},
    {"kind": "starts", "text": "In a nutshell"},
    {"kind": "ends", "text": "That is all for now."},
    {"kind": "ends", "text": "!"},
    {"kind": "ends", "text": "?"},
    {"kind": "repeats", "text": "Tell me about tea."},
    {"kind": "two_responses"},
    {"kind": "json"},
    {"kind": "code_blocks", "exactly": 1},
    {"kind": "bullets", "exactly": 3},
    {"kind": "numbered", "at_least": 4},
    {"kind": "numbered", "at_most": 0},
    {"kind": "paragraphs", "exactly": 4},
    {"kind": "paragraphs", "exactly": 1},
    {"kind": "paragraphs", "exactly": 3, "separator": "***"},
    {"kind": "parts", "separator": "---", "exactly": 2},
    {"kind": "lines", "exactly": 3},
    {"kind": "sections", "marker": "Part", "at_least": 3},
    {"kind": "paragraph_starts", "paragraph": 2, "word": "However"},
    {"kind": "highlights", "at_least": 4},
    {"kind": "highlights", "at_most": 0},
    {"kind": "placeholders", "at_least": 3},
    {"kind": "letter", "letter": "!", "at_least": 2},
    {"kind": "letter", "letter": "#", "at_least": 3},
    {"kind": "words", "at_most": 20},
    {"kind": "words", "at_least": 60},
    {"kind": "sentences", "exactly": 2},
    {"kind": "sentences", "at_least": 10},
    {"kind": "characters", "at_most": 100},
    {"kind": "contains", "texts": ["winter"]},
    {"kind": "contains_any", "texts": ["winter", "summer"]},
    {"kind": "occurrences", "text": "winter", "at_least": 1},
    {"kind": "occurrences", "text": "tea", "at_most": 1},
    {"kind": "excludes", "texts": ["village"]},
    {"kind": "questions", "at_least": 2},
]


def mended(
    *checks: dict[str, Any], response: str = TEXT, texts: ModelTexts = WRITTEN
) -> str | None:
    return mend(response, read_checks(list(checks)), "Tell me about tea.", "tea", texts)


@pytest.mark.parametrize("check", MENDED, ids=lambda check: " ".join(map(str, check.values())))
def test_a_response_that_fails_is_edited_until_it_passes(check: dict[str, Any]) -> None:
    before, after = verify_all(read_checks([check]), TEXT), mended(check)
    assert not before[0].passed
    assert after is not None
    assert verify_all(read_checks([check]), after)[0].passed


@pytest.mark.parametrize(
    ("check", "response"),
    [
        ({"kind": "highlights", "at_least": 2}, "* It is about gardens.\n* It is about rivers."),
        ({"kind": "placeholders", "at_least": 2}, "It opens with [ always. It is about gardens."),
    ],
)
def test_edits_count_as_the_check_does(check: dict[str, Any], response: str) -> None:
    assert mended(check, response=response) is not None


def test_all_checks_hold_at_the_end_also_where_one_edit_undoes_another() -> None:
    checks: list[dict[str, Any]] = [
        {"kind": "without", "characters": ","},
        {"kind": "starts", "text": "In a nutshell"},  # a comma follows it
        {"kind": "lowercase"},
    ]
    after = mended(*checks)
    assert after is not None
    assert all(f.passed for f in verify_all(read_checks(checks), after))


def test_the_text_stays_the_models_own() -> None:
    after = mended({"kind": "without", "characters": ","})
    assert after == TEXT.replace(",", "")


def test_an_ending_follows_a_draft_that_was_cut_after_a_comma_as_a_sentence() -> None:
    after = mended({"kind": "ends", "text": "Bye."}, response="It grows on hills. So,")
    assert after == "It grows on hills. So. Bye."


def test_what_passes_already_is_not_touched() -> None:
    assert mended({"kind": "contains", "texts": ["tea"]}) == TEXT


@pytest.mark.parametrize(
    "check",
    [
        {"kind": "words", "at_least": 500},  # the continuation is too short
        {"kind": "excludes", "texts": ["is", "it"]},  # hardly a sentence would be left
        {"kind": "contains", "texts": ["winter"]},  # the model wrote nothing
        {"kind": "regex", "pattern": "zebra"},  # no edit is known
    ],
)
def test_what_cannot_be_mended_is_given_up(check: dict[str, Any]) -> None:
    texts = ModelTexts() if check["kind"] == "contains" else WRITTEN
    assert mended(check, texts=texts) is None


def test_a_continuation_that_repeats_the_response_is_not_taken() -> None:
    again = ModelTexts(continuation="It isn't hard! Do you like tea? " * 20)
    assert mended({"kind": "words", "at_least": 60}, texts=again) is None


def test_what_the_model_must_write_is_said_before_it_is_asked() -> None:
    checks = read_checks(
        [
            {"kind": "words", "at_least": 60},
            {"kind": "contains", "texts": ["winter", "tea"]},
            {"kind": "questions", "at_least": 3},
            {"kind": "two_responses"},
        ]
    )
    wanted = needs(verify_all(checks, TEXT), TEXT)
    assert wanted == Needs(words=8, with_words=("winter",), questions=2, second=True)


def test_the_title_is_the_topic_or_the_first_words() -> None:
    assert title_of("the phases of the moon", "") == "Phases Of Moon"
    assert title_of("", "**Dear** friend, thank you very much.") == "Dear Friend Thank You Very"


@pytest.mark.parametrize(
    ("name", "response"),
    [
        ("highlights", "It is *very* old."),
        ("placeholders", "Dear [name], hello."),
        ("letter", "It is old."),
        ("occurrences", "It is what it is."),
        ("words_per_sentence", "It is very old."),
        ("words", "It is old."),
        ("bullets", "It is old."),
        ("numbers", "It was 3 to 4."),
        ("questions", "Is it old?"),
    ],
)
@pytest.mark.parametrize(
    "bounds", [{"at_least": 3}, {"at_most": 0}, {"exactly": 2}, {"between": [3, 4]}]
)
def test_bounds_of_every_form_are_mended_or_given_up(
    name: str, response: str, bounds: dict[str, Any]
) -> None:
    needed: dict[str, Any] = {"letter": {"letter": "t"}, "occurrences": {"text": "it"}}
    check = {"kind": name, **needed.get(name, {}), **bounds}
    after = mended(check, response=response)
    assert after is None or verify_all(read_checks([check]), after)[0].passed


def test_what_an_edit_before_has_mended_is_left_alone() -> None:
    checks: list[dict[str, Any]] = [
        {"kind": "contains", "texts": ["winter"]},
        {"kind": "contains_any", "texts": ["winter", "summer"]},
        {"kind": "words", "at_least": 55},  # the sentence with the word is long enough
    ]
    assert mended(*checks) == f"{TEXT}\n\nWinter is a good time for tea."


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
def test_every_kind_is_mended_or_given_up_with_only_the_arguments_it_needs(kind: Kind) -> None:
    optional = {argument.name for argument in kind.arguments if not argument.required}
    needed = {name: value for name, value in kind.example.items() if name not in optional}
    checks = read_checks([{"kind": kind.name, **needed}])
    after = mend(kind.wrong, checks, kind.instruction, "", WRITTEN)
    assert after is None or verify_all(checks, after, kind.instruction)[0].passed
