"""IFEval: reads its rows as checks, and grades responses with them.

Its instructions are of 25 kinds, each verified by a program; the checks of the loop know them all.
docs/checks.md says where they and IFEval's own checkers differ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from redraft.server.refine.checks import Check, read_check, verify_all

Checks = tuple[Check, ...]
Arguments = Mapping[str, Any]

_ENGLISH = {"kind": "language", "language": "en"}
_ANSWER = r"My answer is (yes|no|maybe)\."


@dataclass(frozen=True, slots=True)
class IfevalRow:
    """One prompt, and the checks of each of its instructions."""

    key: int
    prompt: str
    instructions: tuple[str, ...]  # the kinds, in IFEval's words
    checks: tuple[Checks, ...]  # of each instruction, which is followed when all of them hold


@dataclass(frozen=True, slots=True)
class Followed:
    """Which instructions of a row a response follows. ``loose`` forgives a first or last line too
    many, and emphasis: it is what the best of eight versions of the response follows."""

    strict: tuple[bool, ...]
    loose: tuple[bool, ...]


def read_row(content: Mapping[str, Any]) -> IfevalRow:
    """A row of IFEval's input_data.jsonl; ValueError for an instruction of no known kind."""
    instructions = tuple(content["instruction_id_list"])
    checks = tuple(
        checks_of(instruction, arguments or {})
        for instruction, arguments in zip(instructions, content["kwargs"], strict=True)
    )
    return IfevalRow(content["key"], content["prompt"], instructions, checks)


def checks_of(instruction: str, arguments: Arguments) -> Checks:
    """The checks that one instruction of IFEval stands for."""
    if instruction not in _READERS:
        raise ValueError(
            f"instruction {instruction!r} is of no kind of IFEval's; expected one of "
            f"{', '.join(_READERS)}"
        )
    present = {name: value for name, value in arguments.items() if value is not None}
    return tuple(read_check(content) for content in _READERS[instruction](present))


def follows(row: IfevalRow, response: str) -> Followed:
    versions = loosened(response)
    by_version = [_strictly(row, version) for version in versions]
    return Followed(by_version[0], tuple(map(any, zip(*by_version, strict=True))))


def loosened(response: str) -> tuple[str, ...]:
    """The response, without its first line, its last, both; each with and without asterisks."""
    lines = response.split("\n")
    versions = ["\n".join(part).strip() for part in (lines[1:], lines[:-1], lines[1:-1])]
    whole = [response, *versions]
    return (*whole, *(version.replace("*", "") for version in whole))


def _strictly(row: IfevalRow, response: str) -> tuple[bool, ...]:
    """An empty response follows nothing."""
    if not response.strip():
        return (False,) * len(row.checks)
    return tuple(
        all(finding.passed for finding in verify_all(checks, response, row.prompt))
        for checks in row.checks
    )


def _bounded(relation: str, count: int) -> dict[str, int]:
    return {"at_most": count - 1} if relation == "less than" else {"at_least": count}


def _counted(kind: str, count: str) -> Callable[[Arguments], list[dict[str, Any]]]:
    return lambda arguments: [{"kind": kind, **_bounded(arguments["relation"], arguments[count])}]


def _at_least(kind: str, count: str) -> Callable[[Arguments], list[dict[str, Any]]]:
    return lambda arguments: [{"kind": kind, "at_least": arguments[count]}]


def _plain(*checks: dict[str, Any]) -> Callable[[Arguments], list[dict[str, Any]]]:
    return lambda _: list(checks)


_READERS: dict[str, Callable[[Arguments], list[dict[str, Any]]]] = {
    "change_case:capital_word_frequency": lambda arguments: [
        {
            "kind": "capital_words",
            **_bounded(arguments["capital_relation"], arguments["capital_frequency"]),
        }
    ],
    "change_case:english_capital": _plain({"kind": "uppercase"}, _ENGLISH),
    "change_case:english_lowercase": _plain({"kind": "lowercase"}, _ENGLISH),
    "combination:repeat_prompt": lambda arguments: [
        {"kind": "repeats", "text": arguments["prompt_to_repeat"]}
    ],
    "combination:two_responses": _plain({"kind": "two_responses"}),
    "detectable_content:number_placeholders": _at_least("placeholders", "num_placeholders"),
    "detectable_content:postscript": lambda arguments: [
        {"kind": "postscript", "marker": arguments["postscript_marker"]}
    ],
    "detectable_format:constrained_response": _plain({"kind": "regex", "pattern": _ANSWER}),
    "detectable_format:json_format": _plain({"kind": "json"}),
    "detectable_format:multiple_sections": lambda arguments: [
        {
            "kind": "sections",
            "marker": arguments["section_spliter"],
            "at_least": arguments["num_sections"],
        }
    ],
    "detectable_format:number_bullet_lists": lambda arguments: [
        {"kind": "bullets", "exactly": arguments["num_bullets"]}
    ],
    "detectable_format:number_highlighted_sections": _at_least("highlights", "num_highlights"),
    "detectable_format:title": _plain({"kind": "titled"}),
    "keywords:existence": lambda arguments: [{"kind": "contains", "texts": arguments["keywords"]}],
    "keywords:forbidden_words": lambda arguments: [
        {"kind": "excludes", "texts": arguments["forbidden_words"]}
    ],
    "keywords:frequency": lambda arguments: [
        {
            "kind": "occurrences",
            "text": arguments["keyword"],
            **_bounded(arguments["relation"], arguments["frequency"]),
        }
    ],
    "keywords:letter_frequency": lambda arguments: [
        {
            "kind": "letter",
            "letter": arguments["letter"],
            **_bounded(arguments["let_relation"], arguments["let_frequency"]),
        }
    ],
    "language:response_language": lambda arguments: [
        {"kind": "language", "language": arguments["language"]}
    ],
    "length_constraints:nth_paragraph_first_word": lambda arguments: [
        {"kind": "paragraphs", "exactly": arguments["num_paragraphs"]},
        {
            "kind": "paragraph_starts",
            "paragraph": arguments["nth_paragraph"],
            "word": arguments["first_word"],
        },
    ],
    "length_constraints:number_paragraphs": lambda arguments: [
        {"kind": "paragraphs", "exactly": arguments["num_paragraphs"], "separator": "***"}
    ],
    "length_constraints:number_sentences": _counted("sentences", "num_sentences"),
    "length_constraints:number_words": _counted("words", "num_words"),
    "punctuation:no_comma": _plain({"kind": "without", "characters": ","}),
    "startend:end_checker": lambda arguments: [{"kind": "ends", "text": arguments["end_phrase"]}],
    "startend:quotation": _plain({"kind": "quoted"}),
}
