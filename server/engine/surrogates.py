"""Halves of surrogate pairs: joined where the other half follows, else replaced.

JSON can spell half of a pair ("\\ud83d"), and servers that cut their text between any two code
units send an emoji in two halves, in two events. UTF-8 can encode neither of them.
"""

from __future__ import annotations

import re
from typing import Any

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_HALF = re.compile("[\ud800-\udfff]")
_FIRST_HALF_AT_END = re.compile("[\ud800-\udbff]\\Z")


def whole(text: str) -> str:
    """The text, with pairs joined and every other half replaced."""
    if not _HALF.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def whole_in(value: Any) -> Any:
    """A value of JSON with every text in it whole."""
    match value:
        case str():
            return whole(value)
        case list():
            return [whole_in(item) for item in value]
        case dict():
            return {whole(key): whole_in(item) for key, item in value.items()}
    return value


class Joined:
    """The pieces of several texts, each under its name, without halves: one at the end of a piece
    is withheld until the next piece of its text."""

    def __init__(self) -> None:
        self._withheld: dict[str, str] = {}

    def add(self, name: str, piece: str) -> str:
        if not piece:
            return ""
        text = self._withheld.pop(name, "") + piece
        if not _HALF.search(text):
            return text
        if found := _FIRST_HALF_AT_END.search(text):
            self._withheld[name] = found[0]
            text = text[:-1]
        return whole(text)

    def rest(self, name: str) -> str:
        """What stands for a half that nothing followed."""
        return REPLACEMENT if self._withheld.pop(name, "") else ""
