"""Check: a constraint that a program can verify on a response, and Finding: what it found.

How to add a kind of check:
1. Write its function in the file it belongs to (``counts``, ``containing``, ``shape``, ``case``,
   ``formats``), and beside it a ``Kind``: arguments, the constraint in words, an example, a
   response that passes it and one that does not.
2. Add the file's tuple to ``table`` where it is new.
3. The tests of the table and docs/checks.md take the rest from the ``Kind``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from redraft.server.refine.checks.arguments import Argument
from redraft.server.refine.checks.splitting import Text

Json = dict[str, Any]
Arguments = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Check:
    """One constraint. ``table.read_check`` makes it from JSON and validates it."""

    kind: str
    arguments: Arguments = field(default_factory=dict)

    def to_json(self) -> Json:
        return {"kind": self.kind, **self.arguments}


@dataclass(frozen=True, slots=True)
class Verified:
    """Whether a response passes, the evidence for it, and what would mend the response."""

    passed: bool
    found: str  # short: '31 words', 'begins "The first step"'
    advice: str = ""  # empty where it passes


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict, and the check it is about."""

    check: Check
    says: str  # the constraint in words: "at least 50 words"
    passed: bool
    found: str
    advice: str

    def line(self) -> str:
        """The evidence first, then the verdict."""
        return f"{self.says}: {self.found}. {'Met.' if self.passed else 'Not met.'}"


@dataclass(frozen=True, slots=True)
class Kind:
    """Everything about one kind of check."""

    name: str
    says: Callable[[Arguments], str]  # the constraint in words
    verify: Callable[[Text, Arguments], Verified]
    example: Arguments  # arguments, as a request has them
    right: str  # a response that passes the example
    wrong: str  # one that does not
    arguments: tuple[Argument, ...] = ()
    bounded: bool = False  # takes at_least, at_most, exactly, between
    instruction: str = ""  # the one that right and wrong answer, where it matters
    items: Callable[[Text, Arguments], Sequence[str]] | None = None  # what is counted


def passed(found: str) -> Verified:
    return Verified(True, found)


def failed(found: str, advice: str) -> Verified:
    return Verified(False, found, advice)
