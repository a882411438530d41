"""Tool calls of a completion, put together from their deltas. Both are in OpenAI's shape."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

ToolCall = Mapping[str, Any]  # {"index": 0, "id": ..., "type": "function", "function": {...}}


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
