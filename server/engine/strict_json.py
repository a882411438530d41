"""JSON as models write it, read strictly: Python also takes NaN and Infinity, which no other reader
of the same text does."""

from __future__ import annotations

import json
from typing import Any, NoReturn


class NotJson(ValueError):
    """A word that stands where a value of JSON belongs."""


def refuse(word: str) -> NoReturn:
    """``parse_constant`` of Python's decoders."""
    raise NotJson(f"{word} is no value of JSON")


def loads(text: str) -> Any:
    return json.loads(text, parse_constant=refuse)
