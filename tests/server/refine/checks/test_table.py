"""The table of checks: every kind in it, reading checks, and what holds for all verdicts."""

from __future__ import annotations

import json
import random
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redraft.server.refine.checks import (
    KINDS,
    MOST_CHECKS,
    Check,
    CheckError,
    Kind,
    count,
    read_check,
    read_checks,
    verify,
    verify_all,
)
from redraft.server.refine.checks.bounds import NAMES

EXAMPLES = [Check(kind.name, kind.example) for kind in KINDS.values()]
every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())


@every_kind
def test_the_example_of_a_kind_passes_its_right_response_and_not_its_wrong_one(kind: Kind) -> None:
    check = read_check({"kind": kind.name, **kind.example})
    right = verify(check, kind.right, kind.instruction)
    wrong = verify(check, kind.wrong, kind.instruction)
    assert (right.passed, right.advice) == (True, "")
    assert not wrong.passed
    assert wrong.advice


@every_kind
def test_a_finding_has_its_evidence_before_its_verdict_and_is_short(kind: Kind) -> None:
    check = read_check({"kind": kind.name, **kind.example})
    long = " ".join([kind.wrong] * 50)
    for response in (kind.right, kind.wrong, long):
        finding = verify(check, response, kind.instruction)
        assert finding.line().startswith(f"{finding.says}: {finding.found}. ")
        assert finding.line().endswith(("Met.", "Not met."))
        assert "\n" not in finding.line()
        assert len(finding.found) < 170


def test_what_a_kind_counts_can_be_asked_for() -> None:
    assert count("questions", 'They asked: "Do you drink tea?"') == 1
    assert count("letter", "See!", {"letter": "E"}) == 2
    with pytest.raises(ValueError, match="'json' counts nothing"):
        count("json", "{}")


@every_kind
def test_a_check_is_the_same_after_a_trip_through_json(kind: Kind) -> None:
    check = read_check({"kind": kind.name, **kind.example})
    assert read_check(json.loads(json.dumps(check.to_json()))) == check


@every_kind
def test_an_argument_that_a_kind_does_not_have_is_refused(kind: Kind) -> None:
    with pytest.raises(CheckError, match=rf"check '{kind.name}': unknown argument 'colour'"):
        read_check({"kind": kind.name, **kind.example, "colour": "red"})


@every_kind
@pytest.mark.parametrize("value", [None, [], {}, True, -1, "", 10**30, [None], "x" * 30_000])
def test_a_wrong_argument_is_refused_by_name(kind: Kind, value: Any) -> None:
    for argument in kind.arguments:
        if argument.name == "schema" and value in ({}, True):
            continue  # these are schemas
        if argument.schema.get("type") == "number" and value in (-1, 10**30):
            continue
        with pytest.raises(CheckError, match=f"check '{kind.name}': "):
            read_check({"kind": kind.name, **kind.example, argument.name: value})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("words", "a check is 'words'; expected an object"),
        ({}, "a check has no kind; expected one of words, sentences"),
        ({"kind": "word"}, "kind is 'word'; did you mean 'words'?"),
        ({"kind": "sung"}, r"kind is 'sung'\. The kinds are words, sentences"),
        ({"kind": ["words"]}, "kind is a list"),
        ({"kind": "words"}, "got none of the bounds; expected at_least"),
        ({"kind": "words", "exactly": 3, "at_least": 2}, "got at_least and exactly of the bounds"),
        ({"kind": "words", "between": 3}, r"between is 3; it should be two numbers, as \[3, 5\]"),
        ({"kind": "words", "between": [5, 3]}, "nothing is from 5 to 3"),
        ({"kind": "words", "at_least": "five"}, "at_least is 'five'; it should be a whole number"),
        ({"kind": "contains"}, "texts is required: what must be there"),
        ({"kind": "quoted", "text": "x"}, "unknown argument 'text'; it takes no arguments"),
        ({"kind": "regex", "pattern": "(a"}, r"pattern is '\(a': it has a \( without a \)"),
        ({"kind": "language", "language": "tlh"}, "language is 'tlh'; expected one of ar, bg"),
    ],
)
def test_a_malformed_check_is_refused_with_what_is_expected(content: Any, message: str) -> None:
    with pytest.raises(CheckError, match=message):
        read_check(content)


def test_checks_are_a_list_with_a_limit() -> None:
    quoted = {"kind": "quoted"}
    assert read_checks([quoted, quoted]) == (Check("quoted", {}), Check("quoted", {}))
    with pytest.raises(CheckError, match="checks is an object; expected a list"):
        read_checks(quoted)
    with pytest.raises(CheckError, match=f"at most {MOST_CHECKS}"):
        read_checks([quoted] * (MOST_CHECKS + 1))


def test_a_response_with_too_few_sentences_is_told_how_many_it_has() -> None:
    check = read_check({"kind": "sentence_contains", "sentence": 2, "text": "rain"})
    assert verify(check, "It may rain.").found == "1 sentence"


def test_one_text_stands_for_a_list_of_one() -> None:
    assert read_check({"kind": "contains", "texts": "tide"}).arguments == {"texts": ["tide"]}


texts = st.text() | st.text(alphabet="aA1 .,!?\n\"'*-[]<>#`{}()_é中\u0000\ud800", max_size=300)


@given(texts, texts)
def test_no_text_makes_a_check_raise(response: str, instruction: str) -> None:
    for finding in verify_all(EXAMPLES, response, instruction):
        assert finding.found
        assert finding.passed or finding.advice


@given(texts)
def test_no_content_makes_reading_a_check_raise_anything_else(response: str) -> None:
    for kind in KINDS.values():
        for argument in kind.arguments:
            content = {"kind": kind.name, **kind.example, argument.name: response}
            try:
                check = read_check(content)
            except CheckError:
                continue
            verify(check, response)


@given(texts, st.integers())
def test_a_verdict_does_not_depend_on_the_other_checks(response: str, seed: int) -> None:
    shuffled = random.Random(seed).sample(EXAMPLES, len(EXAMPLES))
    together = verify_all(shuffled, response, "Say it.")
    alone = {check.kind: verify(check, response, "Say it.") for check in EXAMPLES}
    assert {finding.check.kind: finding for finding in together} == alone


@given(texts, st.integers(0, 50))
def test_exactly_is_at_least_and_at_most(response: str, count: int) -> None:
    for kind in KINDS.values():
        if not kind.bounded or kind.name == "words_per_sentence":
            continue
        others = {name: value for name, value in kind.example.items() if name not in NAMES}

        def passes(**bounds: int) -> bool:
            check = read_check({"kind": kind.name, **others, **bounds})  # noqa: B023
            return verify(check, response).passed

        both = passes(at_least=count) and passes(at_most=count)
        assert passes(exactly=count) == both == passes(at_least=count, at_most=count)


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    ["<<{}", "*{}", "```{}", "[{}", "{}.", '"{}', "P.{}", "1.{}", "A{}"],
)
@pytest.mark.parametrize("filling", ["a", " ", "a b "])
def test_a_long_text_takes_no_kind_long(text: str, filling: str) -> None:
    """A pattern that backtracks takes half a minute for some of these. The limit is loose: what a
    kind takes is well below a second."""
    response = text.format(filling * 100_000)
    for check in EXAMPLES:
        started = time.process_time()
        verify(check, response)
        assert time.process_time() - started < 10, check.kind


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_words_that_only_python_takes_for_json_are_none(word: str) -> None:
    written = f'{{"score": {word}}}'
    schema = {"type": "object", "properties": {"score": {"type": "number"}}}
    for check in ({"kind": "json"}, {"kind": "json_schema", "schema": schema}):
        finding = verify(read_check(check), written)
        assert (finding.passed, finding.found) == (False, f"{word} is no value of JSON")
    block = verify(read_check({"kind": "code", "language": "json"}), f"```json\n{written}\n```")
    assert not block.passed


def test_a_tolerance_is_not_negative() -> None:
    with pytest.raises(CheckError, match=r"tolerance is -1; it should be 0 or more"):
        read_check({"kind": "equals", "value": 42, "tolerance": -1})
    assert verify(read_check({"kind": "equals", "value": 42, "tolerance": 0}), "42").passed
