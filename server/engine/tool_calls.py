"""Tool calls of a completion, put together from their deltas. Both are in OpenAI's shape."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

ToolCall = Mapping[str, Any]  # {"index": 0, "id": ..., "type": "function", "function": {...}}
MOST_CALLS = 1024  # of one completion


class ToolCalls:
    """The calls so far: a delta names its call by index and adds to its name and arguments."""

    def __init__(self) -> None:
        self._calls: dict[int, dict[str, Any]] = {}

    def __bool__(self) -> bool:
        return bool(self._calls)

    def add(self, deltas: Iterable[ToolCall]) -> None:
        for delta in deltas:
            index = int(delta.get("index") or 0)
            call = self._calls.setdefault(
                index, {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
            )
            call["id"] = delta.get("id") or call["id"]
            function = delta.get("function") or {}
            for field in ("name", "arguments"):
                call["function"][field] += function.get(field) or ""

    def whole(self) -> tuple[ToolCall, ...]:
        """The calls in order, as a message that is not streamed has them."""
        return tuple(self._calls[index] for index in sorted(self._calls))


class DeltaReader:
    """Deltas of tool calls as servers send them, in the shape that ``ToolCalls`` and clients take.

    Some servers leave the index out and send each call whole: an id that is new begins a call then.
    Some send the arguments as an object."""

    def __init__(self) -> None:
        self._ids: list[str] = []  # of the calls without an index

    def read(self, delta: ToolCall) -> ToolCall:
        """ValueError, TypeError or AttributeError for a delta that cannot be understood."""
        function = dict(delta.get("function") or {})
        if isinstance(function.get("arguments"), dict):
            function["arguments"] = json.dumps(function["arguments"])
        for text in (delta.get("id"), function.get("name"), function.get("arguments")):
            if not isinstance(text, str | None):
                raise ValueError(f"a tool call has {text!r} in place of a text")
        return {**delta, "index": self._index(delta), "function": function}

    def _index(self, delta: ToolCall) -> int:
        index = delta.get("index")
        if index is None:
            call_id = delta.get("id") or (self._ids[-1] if self._ids else "")
            if call_id not in self._ids:
                self._ids.append(call_id)
            index = self._ids.index(call_id)
        if type(index) is not int or not 0 <= index < MOST_CALLS:
            raise ValueError(f"the index of a tool call is {index!r}")
        return index
