"""The arguments of checks: what each may be, how it is read from JSON, and its JSON schema."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from redraft.server.refine.checks.pattern import PatternError, compiled

LONGEST_TEXT = 20_000  # characters of an argument
MOST_TEXTS = 100
LARGEST = 10**9
_TEXT = {"type": "string", "minLength": 1}


class CheckError(ValueError):
    """A malformed check: what was got, and what is expected."""


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a kind of check."""

    name: str
    read: Callable[[Any], Any]  # the value of JSON; CheckError when it is none
    schema: dict[str, Any]
    says: str  # for the documentation
    required: bool = True


def text(name: str, says: str, *, required: bool = True) -> Argument:
    return Argument(name, lambda value: read_text(name, value), _TEXT, says, required)


def texts(name: str, says: str) -> Argument:
    """One text or several."""

    def read(value: Any) -> list[str]:
        values = value if isinstance(value, list) else [value]
        if not 1 <= len(values) <= MOST_TEXTS:
            raise CheckError(f"{name} has {len(values)} texts; it takes 1 to {MOST_TEXTS}")
        return [read_text(name, each) for each in values]

    schema = {"type": "array", "items": _TEXT, "minItems": 1, "maxItems": MOST_TEXTS}
    return Argument(name, read, schema, says)


def character(name: str, says: str) -> Argument:
    def read(value: Any) -> str:
        if not isinstance(value, str) or len(value) != 1:
            raise CheckError(f"{name} is {shown(value)}; it should be one character")
        return value

    return Argument(name, read, {**_TEXT, "maxLength": 1}, says)


def one_of(name: str, choices: tuple[str, ...], says: str, *, required: bool = True) -> Argument:
    def read(value: Any) -> str:
        if value not in choices:
            raise CheckError(f"{name} is {shown(value)}; expected one of {', '.join(choices)}")
        return str(value)

    return Argument(name, read, {"enum": list(choices)}, says, required)


def whole(name: str, says: str, *, least: int = 0, required: bool = True) -> Argument:
    schema = {"type": "integer", "minimum": least, "maximum": LARGEST}
    return Argument(name, lambda value: read_whole(name, value, least), schema, says, required)


def number(name: str, says: str, *, least: float | None = None, required: bool = True) -> Argument:
    def read(value: Any) -> int | float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise CheckError(f"{name} is {shown(value)}; it should be a number")
        if not abs(value) < 1e300:
            raise CheckError(f"{name} is {shown(value)}; it should be smaller")
        if least is not None and value < least:
            raise CheckError(f"{name} is {shown(value)}; it should be {least} or more")
        return value

    bound = {} if least is None else {"minimum": least}
    return Argument(name, read, {"type": "number", **bound}, says, required)


def pattern(name: str, says: str) -> Argument:
    def read(value: Any) -> str:
        return read_pattern(name, read_text(name, value))

    return Argument(name, read, _TEXT, says)


def read_text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise CheckError(f"{name} is {shown(value)}; it should be a text that is not empty")
    if len(value) > LONGEST_TEXT:
        raise CheckError(f"{name} has {len(value)} characters; it takes {LONGEST_TEXT} at most")
    return value


def read_pattern(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise CheckError(f"{name} is {shown(value)}; it should be a text")
    try:
        compiled(value)
    except PatternError as error:
        raise CheckError(f"{name} is {shown(value)}: {error}") from None
    return value


def read_whole(name: str, value: Any, least: int = 0) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= LARGEST:
        raise CheckError(
            f"{name} is {shown(value)}; it should be a whole number from {least} to {LARGEST}"
        )
    return value


def shown(value: Any) -> str:
    """A value of a request, short enough to be quoted."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int) and abs(value) >= 10**40:
        return "a huge number"
    quoted = repr(value[:60] if isinstance(value, str) else value)
    return quoted if len(quoted) <= 60 else f"{quoted[:57]}..."
