"""Prompts with constraints: read from files of both kinds, met strictly and loosely."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from redraft.benchmarks.data import IFEVAL
from redraft.benchmarks.grading.constrained import (
    ConstrainedPrompt,
    by_checks,
    loosened,
    of_ifeval,
    read_prompts,
)
from redraft.server.jsonl import FileError
from redraft.server.refine.checks import says

ROW: dict[str, Any] = {
    "key": 1,
    "prompt": "Name three fruits without commas, in at least four words.",
    "instruction_id_list": ["punctuation:no_comma", "length_constraints:number_words"],
    "kwargs": [{}, {"relation": "at least", "num_words": 4, "num_sentences": None}],
}
OURS: dict[str, Any] = {
    "instruction": "Name a fruit in one word.",
    "meta": {"checks": [{"kind": "words", "exactly": 1}], "kinds": ["words_exactly"]},
}


def read(folder: Path, *rows: Any) -> list[ConstrainedPrompt]:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read_prompts(path)


def test_a_row_of_ifeval_becomes_the_checks_of_each_of_its_instructions() -> None:
    prompt = of_ifeval(ROW)
    said = [[says(check) for check in checks] for checks in prompt.checks]
    assert said == [["no commas"], ["at least 4 words"]]
    assert prompt.arguments == ({}, {"relation": "at least", "num_words": 4})


def test_an_instruction_with_checks_has_one_constraint_for_each(tmp_path: Path) -> None:
    (prompt,) = read(tmp_path, OURS)
    assert prompt.text == OURS["instruction"]
    assert prompt.kinds == ("words_exactly",)
    assert by_checks(prompt, "pear").strict == (True,)
    assert not prompt.arguments


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"prompt": "Say no."}, "a row of IFEval, or a prompt with meta.checks"),
        ({"prompt": "Say no.", "meta": {"checks": []}}, "at least one check"),
        ({"prompt": "Say no.", "meta": {"checks": [{"kind": "rhymes"}]}}, "rhymes"),
        (ROW | {"instruction_id_list": ["a:b", "c:d"]}, "is of no kind of IFEval"),
    ],
)
def test_a_row_of_neither_kind_is_named(tmp_path: Path, row: Any, expected: str) -> None:
    with pytest.raises(FileError, match=expected):
        read(tmp_path, row)


@pytest.mark.parametrize(
    ("response", "strict", "loose"),
    [
        ("pears and figs and plums", (True, True), (True, True)),
        ("pears, figs, plums", (False, False), (False, False)),
        ("Sure, here they are:\npears and figs and plums", (False, True), (True, True)),
        ("", (False, False), (False, False)),
    ],
)
def test_a_response_meets_them_strictly_or_loosely(
    response: str, strict: tuple[bool, ...], loose: tuple[bool, ...]
) -> None:
    met = by_checks(of_ifeval(ROW), response)
    assert (met.strict, met.loose) == (strict, loose)


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


def test_an_instruction_for_the_trainer_names_the_kind_of_each_check() -> None:
    """English in capitals is one constraint: its check for capitals says all that can be mended."""
    prompts = read_prompts(IFEVAL)
    for prompt in prompts:
        meta = prompt.to_instruction()["meta"]
        assert len(meta["checks"]) == len(meta["kinds"]) > 0
    capitals = next(p for p in prompts if "change_case:english_capital" in p.kinds)
    kinds = [check["kind"] for check in capitals.to_instruction()["meta"]["checks"]]
    assert "uppercase" in kinds and "language" not in kinds


def test_no_response_makes_a_check_fail() -> None:
    for prompt in read_prompts(IFEVAL):
        assert len(by_checks(prompt, prompt.text).strict) == len(prompt.kinds)
