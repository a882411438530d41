"""Reads the instructions of IFEval as checks.

Its instructions are of 25 kinds, each verified by a program; the checks of the loop know them all.
docs/checks.md says where they and IFEval's own checkers differ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from redraft.server.refine.checks import Check, read_check

Checks = tuple[Check, ...]
Arguments = Mapping[str, Any]

_ENGLISH = {"kind": "language", "language": "en"}
_ANSWER = r"My answer is (yes|no|maybe)\."


def checks_of(instruction: str, arguments: Arguments) -> Checks:
    """The checks that one instruction of IFEval stands for."""
    if instruction not in _READERS:
        raise ValueError(
            f"instruction {instruction!r} is of no kind of IFEval's; expected one of "
            f"{', '.join(_READERS)}"
        )
    present = {name: value for name, value in arguments.items() if value is not None}
    return tuple(read_check(content) for content in _READERS[instruction](present))


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
