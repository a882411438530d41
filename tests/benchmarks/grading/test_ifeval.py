"""IFEval's rows as checks, strict and loose."""

from __future__ import annotations

import json

import pytest

from redraft.benchmarks.grading.ifeval import checks_of, follows, loosened, read_row
from redraft.server.refine.checks import says
from tests.support.evaldata import stored

ROW = {
    "key": 1,
    "prompt": "Name three fruits without commas, in at least four words.",
    "instruction_id_list": ["punctuation:no_comma", "length_constraints:number_words"],
    "kwargs": [{}, {"relation": "at least", "num_words": 4, "num_sentences": None}],
}


def test_a_row_becomes_the_checks_of_each_of_its_instructions() -> None:
    row = read_row(ROW)
    said = [[says(check) for check in checks] for checks in row.checks]
    assert said == [["no commas"], ["at least 4 words"]]


def test_less_than_leaves_the_number_itself_out() -> None:
    arguments = {"relation": "less than", "num_sentences": 6}
    (check,) = checks_of("length_constraints:number_sentences", arguments)
    assert check.arguments == {"at_most": 5}


@pytest.mark.parametrize(
    ("response", "strict", "loose"),
    [
        ("pears and figs and plums", (True, True), (True, True)),
        ("pears, figs, plums", (False, False), (False, False)),
        ("Sure, here they are:\npears and figs and plums", (False, True), (True, True)),
        ("", (False, False), (False, False)),
    ],
)
def test_a_response_follows_strictly_or_loosely(
    response: str, strict: tuple[bool, ...], loose: tuple[bool, ...]
) -> None:
    followed = follows(read_row(ROW), response)
    assert (followed.strict, followed.loose) == (strict, loose)


def test_a_response_is_loosened_in_eight_versions() -> None:
    assert loosened("Sure:\n*one*\nDone.") == (
        "Sure:\n*one*\nDone.",
        "*one*\nDone.",
        "Sure:\n*one*",
        "*one*",
        "Sure:\none\nDone.",
        "one\nDone.",
        "Sure:\none",
        "one",
    )


def test_an_instruction_of_no_known_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="'a:b' is of no kind of IFEval's; expected one of change"):
        checks_of("a:b", {})


def test_every_row_of_ifeval_can_be_read() -> None:
    lines = stored("ifeval/input_data.jsonl").read_text().splitlines()
    rows = [read_row(json.loads(line)) for line in lines]
    assert len(rows) == 541
    assert sum(len(row.checks) for row in rows) == 834
    for row in rows:
        follows(row, row.prompt)
