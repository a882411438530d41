"""Declares one option: its help, its default, its limits."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable
from dataclasses import MISSING, Field
from typing import Any

PREFIX = "REDRAFT_"


def option(
    help: str,
    default: Any = MISSING,
    group: str = "",
    *,
    least: float | None = None,
    positional: str = "",
    repeat: bool = False,
    shorthand: str = "",
) -> Any:
    """A field that is an option; without a default it is required.

    least: the lowest number it takes
    positional: its name in the usage, for an option that also works without its flag
    repeat: a list has one value after each flag, not several after one
    shorthand: the key of a mapping whose value is a single word
    """
    metadata = {
        "help": help,
        "group": group,
        "least": least,
        "positional": positional,
        "repeat": repeat,
        "shorthand": shorthand,
    }
    if isinstance(default, dict):
        return dataclasses.field(default_factory=lambda: dict(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def secret(help: str, group: str = "") -> Any:
    """A field that is read from the environment only, and never shown: every user of a machine can
    read the arguments of a process."""
    metadata = {"help": help, "group": group, "secret": True}
    return dataclasses.field(default="", repr=False, metadata=metadata)


def flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def variable(name: str, prefix: str = PREFIX) -> str:
    return f"{prefix}{name.upper()}"


def fields_of(cls: type[Any]) -> dict[str, Field[Any]]:
    return {field.name: field for field in dataclasses.fields(cls)}


def is_secret(field: Field[Any]) -> bool:
    return bool(field.metadata.get("secret"))


def default_of(field: Field[Any]) -> Any:
    """MISSING when the option is required."""
    return field.default if field.default_factory is MISSING else field.default_factory()


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """The message for a name that does not exist: it lists the close ones, else all."""
    close = difflib.get_close_matches(name, list(known), n=3)
    if close:
        return f"unknown {kind} {name}; did you mean {' or '.join(close)}?"
    return f"unknown {kind} {name}; known: {', '.join(sorted(known))}"
