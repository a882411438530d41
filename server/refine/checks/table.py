"""The table of all kinds of checks; reads checks from JSON and verifies them."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from typing import Any

from redraft.server.refine.checks import bounds
from redraft.server.refine.checks.arguments import CheckError, shown
from redraft.server.refine.checks.case import CASE
from redraft.server.refine.checks.check import Arguments, Check, Finding, Json, Kind
from redraft.server.refine.checks.containing import CONTAINING
from redraft.server.refine.checks.counts import COUNTS
from redraft.server.refine.checks.formats import FORMATS
from redraft.server.refine.checks.shape import SHAPE
from redraft.server.refine.checks.splitting import Text

MOST_CHECKS = 32  # of one request
KINDS: dict[str, Kind] = {
    kind.name: kind for kind in (*COUNTS, *CONTAINING, *SHAPE, *CASE, *FORMATS)
}


def read_check(content: Any) -> Check:
    """A check from JSON; CheckError says what is wrong with it."""
    if not isinstance(content, dict):
        raise CheckError(
            f'a check is {shown(content)}; expected an object, as {{"kind": "words", '
            f'"at_least": 50}}'
        )
    if "kind" not in content:
        raise CheckError(f"a check has no kind; expected one of {', '.join(KINDS)}")
    kind = KINDS.get(content["kind"]) if isinstance(content["kind"], str) else None
    if kind is None:
        raise CheckError(_unknown(content["kind"]))
    values = {name: value for name, value in content.items() if name != "kind"}
    try:
        return Check(kind.name, _arguments(kind, values))
    except CheckError as error:
        raise CheckError(f"check {kind.name!r}: {error}") from None


def read_checks(content: Any) -> tuple[Check, ...]:
    """A list of checks."""
    if not isinstance(content, list):
        raise CheckError(f"checks is {shown(content)}; expected a list")
    if len(content) > MOST_CHECKS:
        raise CheckError(f"there are {len(content)} checks; at most {MOST_CHECKS} are allowed")
    return tuple(read_check(each) for each in content)


def verify(check: Check, response: str, instruction: str = "") -> Finding:
    """What the check finds in one response."""
    return verify_all([check], response, instruction)[0]


def verify_all(
    checks: Sequence[Check], response: str, instruction: str = ""
) -> tuple[Finding, ...]:
    """What each check finds; the response is split once for all of them."""
    return tuple(verify_each(checks, response, instruction))


def verify_each(checks: Sequence[Check], response: str, instruction: str = "") -> Iterator[Finding]:
    """The same, one after another."""
    text = Text(response, instruction)
    return (_verify(check, text) for check in checks)


def count(kind: str, response: str, arguments: Arguments | None = None) -> int:
    """How many a response has of what a kind counts; ValueError for a kind that counts nothing."""
    items = KINDS[kind].items
    if items is None:
        raise ValueError(f"{kind!r} counts nothing")
    return len(items(Text(response), arguments or {}))


def says(check: Check) -> str:
    """The constraint in words: "at least 50 words"."""
    return KINDS[check.kind].says(check.arguments)


def _verify(check: Check, text: Text) -> Finding:
    verdict = KINDS[check.kind].verify(text, check.arguments)
    return Finding(check, says(check), verdict.passed, verdict.found, verdict.advice)


def _arguments(kind: Kind, values: Json) -> Json:
    known = [argument.name for argument in kind.arguments]
    if kind.bounded:
        known += bounds.NAMES
    if unknown := sorted(values.keys() - set(known)):
        expected = f"it takes {', '.join(known)}" if known else "it takes no arguments"
        raise CheckError(f"unknown argument {shown(unknown[0])}; {expected}")
    arguments: Json = {}
    for argument in kind.arguments:
        if argument.name in values:
            arguments[argument.name] = argument.read(values[argument.name])
        elif argument.required:
            raise CheckError(f"{argument.name} is required: {argument.says}")
    if kind.bounded:
        arguments |= bounds.read(values)
    return arguments


def _unknown(kind: Any) -> str:
    near = difflib.get_close_matches(str(kind)[:40], KINDS, n=1)
    meant = f"; did you mean {near[0]!r}?" if near else "."
    return f"kind is {shown(kind)}{meant} The kinds are {', '.join(KINDS)}"
