"""What a scripted engine says beyond text: thoughts, calls of tools, log probabilities."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from redraft.server.engine.base import Json, Mark, Sampling
from redraft.server.engine.tool_calls import ToolCall


@dataclass(frozen=True, slots=True)
class Say:
    """A reply that is more than text. There is no thought where a chat forbids it, and no more of
    it than the chat allows. ``more``: what follows the text, each after a marker, unless that
    ends it."""

    text: str = ""
    thought: str = ""
    tool_calls: tuple[ToolCall, ...] = ()  # whole; see ``call``
    more: tuple[tuple[Mark, str], ...] = ()


def call(name: str, **arguments: Any) -> ToolCall:
    """A call of a tool, in OpenAI's shape."""
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"id": f"call_{name}", "type": "function", "function": function}


def deltas(calls: tuple[ToolCall, ...]) -> Iterable[ToolCall]:
    """Each call by name, then its arguments in two parts."""
    for index, whole in enumerate(calls):
        name, arguments = whole["function"]["name"], whole["function"]["arguments"]
        half = len(arguments) // 2
        yield {**whole, "index": index, "function": {"name": name, "arguments": ""}}
        for part in (arguments[:half], arguments[half:]):
            yield {"index": index, "function": {"arguments": part}}


def logprobs(word: str, sampling: Sampling) -> tuple[Json, ...]:
    """The entry of a token that was certain, without alternatives."""
    if sampling.logprobs is None:
        return ()
    return ({"token": word, "logprob": 0.0, "bytes": list(word.encode()), "top_logprobs": []},)
