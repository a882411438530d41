"""What every program has: the server it asks, its questions, and the way it reports.

A program prints one line of JSON for each feature: its name, whether it works, and what was seen.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import sys
from collections.abc import Callable
from typing import Annotated

from pydantic import BaseModel, Field

BASE = os.environ["REDRAFT_BASE"]
KEY = os.environ["REDRAFT_KEY"]
FULL = os.environ["REDRAFT_FULL"]  # the base of a server without a free place
MODEL = os.environ["REDRAFT_MODEL"]
QUESTION = "What is the weather in Paris?"
INVENT = "Invent a person: a name, an age and two hobbies."
LONG = "word " * 6000  # more than the model's window
ANSWER = "refinement"  # a word of every refined answer


class Place(BaseModel):
    city: str
    country: str


class Person(BaseModel):
    """Every text in it has a largest size, so that a small model comes to an end."""

    name: str = Field(max_length=24)
    age: int = Field(ge=0, le=120)
    hobbies: list[Annotated[str, Field(max_length=16)]] = Field(max_length=2)


def weather(city: str) -> str:
    """The weather in a city."""
    return f"It is sunny in {city}."


WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}


def works(feature: str, call: object, expected: object) -> None:
    """Report that the call returns what is expected: a value, a word of a text, or a truth."""
    try:
        result = _run(call)
        if isinstance(expected, str):
            good = expected in str(result)
        else:
            good = bool(result) if expected is True else result == expected
        _report(feature, good, "" if good else f"got {str(result)[:200]!r}")
    except BaseException as error:
        _report(feature, False, _said(error))


def parses(ask: Callable[[str], object]) -> None:
    """Report whether the client gets a Person from a model, refined and direct."""
    for feature, model in (("refined", MODEL), ("direct", f"{MODEL}:direct")):

        def parsed(model: str = model) -> object:
            found = _run(lambda: ask(model))
            if not isinstance(found, Person):
                raise TypeError(f"expected a Person, got {found!r}")
            return True

        works(feature, parsed, True)


def raises(feature: str, expected: str, call: object) -> None:
    """Report that the call raises the client's own exception of this name, or a kind of it."""
    try:
        result = _run(call)
        _report(feature, False, f"no error: {str(result)[:200]!r}")
    except BaseException as error:
        kinds = [kind.__name__ for kind in type(error).__mro__]
        good = expected in kinds
        _report(feature, good, expected if good else f"{_said(error)} (expected {expected})")


def _run(call: object) -> object:
    result = call()
    return asyncio.run(result) if inspect.isawaitable(result) else result


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _report(feature: str, good: bool, detail: str) -> None:
    print(json.dumps({"feature": feature, "works": good, "detail": detail}))
    sys.stdout.flush()
