"""Changes the words of messages, wherever a message has them: content, parts, tool calls."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from redraft.server.engine.base import Message

_UNSEEN = "\u2060"  # a word joiner, invisible


def rewritten(message: Message, change: Callable[[str], str]) -> Message:
    wire = None if message.wire is None else _changed(message.wire, change)
    name = None if message.name is None else change(message.name)
    return replace(
        message, role=change(message.role), content=change(message.content), name=name, wire=wire
    )


def words(message: Message) -> str:
    """All words of a message, to look for something in."""
    wire = "" if message.wire is None else json.dumps(message.wire, ensure_ascii=False)
    return f"{message.content} {message.name or ''} {wire}"


def broken(token: str) -> str:
    """A special token that is spelled out, such that no tokenizer recognises it."""
    return token[0] + _UNSEEN + token[1:]


def _changed(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {key: _changed(item, change) for key, item in value.items()}
    return [_changed(item, change) for item in value] if isinstance(value, list) else value
