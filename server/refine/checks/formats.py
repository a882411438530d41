"""Checks for formats: JSON, patterns, numbers, code, one of a list, language and script."""

from __future__ import annotations

import ast
import json
import re
from typing import Any

from redraft.server.engine import strict_json
from redraft.server.refine.checks import json_schema, languages
from redraft.server.refine.checks.arguments import Argument, number, one_of, pattern, shown, texts
from redraft.server.refine.checks.check import Arguments, Kind, Verified, failed, passed
from redraft.server.refine.checks.evidence import around, counted, listed, quote
from redraft.server.refine.checks.pattern import compiled
from redraft.server.refine.checks.splitting import Text
from redraft.server.refine.checks.steps import Steps, TooManySteps

MOST_CODE = 50_000  # characters that are parsed
_FIGURE = re.compile(r"(?<![\w.])-?\d[\d,]*(?:\.\d+)?")


def _parsed(text: str) -> tuple[Any, str]:
    """The JSON value, and what is wrong with the text, empty when nothing is."""
    written = text.strip()
    if written.startswith("```"):
        written = written.removeprefix("```").removesuffix("```")
        written = re.sub(r"\A\s*json\b", "", written, flags=re.IGNORECASE)
    try:
        return strict_json.loads(written), ""
    except json.JSONDecodeError as error:
        return None, f"{error.msg} at {quote(error.doc[error.pos : error.pos + 20], 20)}"
    except strict_json.NotJson as error:
        return None, str(error)
    except (ValueError, RecursionError):  # a number of thousands of digits, deep nesting
        return None, "a number or a nesting that is too large"


def _json(response: Text, _: Arguments) -> Verified:
    value, wrong = _parsed(response.raw)
    if wrong:
        return failed(wrong, "Write valid JSON and nothing else.")
    return passed(f"found {'an object' if isinstance(value, dict) else shown(value)}")


def _matches_schema(response: Text, arguments: Arguments) -> Verified:
    value, wrong = _parsed(response.raw)
    if wrong:
        return failed(wrong, "Write valid JSON and nothing else.")
    try:
        wrong = json_schema.problem(value, arguments["schema"], Steps()) or ""
    except TooManySteps:
        wrong = "too large to be checked"
    if wrong:
        return failed(wrong, "Write JSON that matches the schema.")
    return passed(f"found {shown(value)}")


def _matches_pattern(response: Text, arguments: Arguments) -> Verified:
    try:
        span = compiled(arguments["pattern"]).search(response.raw, Steps())
    except TooManySteps:
        return failed("too long to be checked", "Write a shorter answer.")
    if span is None:
        advice = f"Write what matches {quote(arguments['pattern'])}."
        return failed(f"no match; begins {quote(response.stripped)}", advice)
    return passed(f"found {around(response.raw, *span, margin=0)}")


def _one_of(response: Text, arguments: Arguments) -> Verified:
    evidence = f"found {quote(response.stripped)}"
    if response.stripped in (option.strip() for option in arguments["options"]):
        return passed(evidence)
    return failed(evidence, f"Answer with {listed(arguments['options'], 'or')} alone.")


def _equals(response: Text, arguments: Arguments) -> Verified:
    """The last number of the response is its result."""
    figures = _FIGURE.findall(response.raw)
    if not figures:
        return failed("no number", "Give the number.")
    try:
        value = float(figures[-1].replace(",", ""))
    except (ValueError, OverflowError):
        return failed(f"found {quote(figures[-1])}", "Give the number.")
    target = float(arguments["value"])
    if abs(value - target) <= arguments.get("tolerance", 1e-9 * max(1.0, abs(target))):
        return passed(f"ends with {quote(figures[-1])}")
    return failed(f"ends with {quote(figures[-1])}", "Work the number out again.")


def _code(response: Text, arguments: Arguments) -> Verified:
    """Its code blocks, those of the language or without a name, parse; there is one at least."""
    language = arguments["language"]
    parse, names = _PARSERS[language]
    blocks = [code for name, code in response.code_blocks if name.lower() in names]
    if not blocks:
        return failed("no code block", f"Give a code block: ```{language} ... ```.")
    for block in blocks:
        if wrong := parse(block):
            return failed(f"{wrong} in {quote(block)}", f"Mend the {language}.")
    return passed(counted(len(blocks), "block that parses", "blocks that parse"))


def _python_problem(code: str) -> str:
    if len(code) > MOST_CODE:
        return "too much code to be checked"
    try:
        ast.parse(code)
    except SyntaxError as error:
        return f"{error.msg} on line {error.lineno}"
    except (ValueError, RecursionError, MemoryError):  # null bytes; nesting
        return "nesting that is too deep"
    return ""


_PARSERS = {
    "python": (_python_problem, ("python", "py", "python3", "")),
    "json": (lambda code: _parsed(code)[1], ("json", "")),
}


def _language(response: Text, arguments: Arguments) -> Verified:
    wanted = arguments["language"]
    language = languages.detect(response.raw)
    evidence = (
        f"reads as {languages.NAMES[language]}" if language else "no language to be recognised"
    )
    if language in (wanted, None):
        return passed(evidence)
    return failed(evidence, f"Write in {languages.NAMES[wanted]} alone.")


def _script(response: Text, arguments: Arguments) -> Verified:
    wanted = arguments["script"]
    for letter in response.raw:
        script = languages.script_of(letter)
        if script is not None and script != wanted:
            return failed(f"found {quote(letter)}, {script}", f"Use {wanted} letters alone.")
    return passed(f"no letters of another script than {wanted}")


FORMATS = (
    Kind(
        "json",
        lambda _: "valid JSON",
        _json,
        example={},
        right='{"fruit": "pear"}',
        wrong='{"fruit": pear}',
    ),
    Kind(
        "json_schema",
        lambda _: "JSON that matches the schema",
        _matches_schema,
        example={"schema": {"type": "object", "required": ["fruit"]}},
        right='{"fruit": "pear"}',
        wrong='{"tree": "pear"}',
        arguments=(
            Argument(
                "schema",
                json_schema.read,
                {"type": "object"},
                "a JSON schema; of the keywords, those named in the error for any other",
            ),
        ),
    ),
    Kind(
        "regex",
        lambda arguments: f"matches {quote(arguments['pattern'])}",
        _matches_pattern,
        example={"pattern": r"^\d{3}-\d{4}$"},
        right="555-0199",
        wrong="5550199",
        arguments=(pattern("pattern", "a regular expression, searched in the response"),),
    ),
    Kind(
        "one_of",
        lambda arguments: f"is {listed(arguments['options'], 'or')}",
        _one_of,
        example={"options": ["yes", "no"]},
        right="yes",
        wrong="Well, yes.",
        arguments=(texts("options", "the whole response is one of these"),),
    ),
    Kind(
        "equals",
        lambda arguments: f"the last number is {arguments['value']}",
        _equals,
        example={"value": 42},
        right="6 times 7 is 42.",
        wrong="6 times 7 is 48.",
        arguments=(
            number("value", "what the last number of the response is"),
            number(
                "tolerance", "how far off it may be; left out: not at all", least=0, required=False
            ),
        ),
    ),
    Kind(
        "code",
        lambda arguments: f"has a {arguments['language'].capitalize()} code block that parses",
        _code,
        example={"language": "python"},
        right="```python\nprint(1)\n```",
        wrong="```python\nprint(1\n```",
        arguments=(one_of("language", tuple(_PARSERS), "of the code block"),),
    ),
    Kind(
        "language",
        lambda arguments: f"written in {languages.NAMES[arguments['language']]}",
        _language,
        example={"language": "fr"},
        right="Le train est en retard de dix minutes.",
        wrong="The train is ten minutes late.",
        arguments=(one_of("language", tuple(languages.NAMES), "its ISO 639-1 code"),),
    ),
    Kind(
        "script",
        lambda arguments: f"written in {arguments['script']} letters",
        _script,
        example={"script": "Cyrillic"},
        right="Привет, мир 2026!",
        wrong="Привет, world!",
        arguments=(one_of("script", languages.SCRIPTS, "of every letter"),),
    ),
)
