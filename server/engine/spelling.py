"""Changes the words of a chat, wherever it has them: content, parts, tool calls, tools, documents,
variables of the template. So a special token that they spell out can be kept from any renderer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from redraft.server.engine import strict_json
from redraft.server.engine.base import ChatOptions, EngineRefused, Json, Message

Change = Callable[[str], str]

# The fields of a chat request whose words a template may render.
RENDERED = ("messages", "tools", "functions", "documents", "chat_template_kwargs")
_UNSEEN = "\u2060"  # a word joiner, invisible
_PLAIN_NAME = re.compile(r"\w+")  # a key like this one spells no special token


def rewritten(message: Message, change: Change) -> Message:
    wire = None if message.wire is None else changed(message.wire, change)
    name = None if message.name is None else change(message.name)
    return replace(
        message, role=change(message.role), content=change(message.content), name=name, wire=wire
    )


def rewritten_options(options: ChatOptions, change: Change) -> ChatOptions:
    """The options, with the words changed that a template may render."""
    if not (options.tools or options.template_kwargs):
        return options
    return replace(
        options,
        tools=tuple(changed(tool, change) for tool in options.tools),
        template_kwargs=changed(options.template_kwargs, change),
    )


def rewritten_request(request: Json, change: Change) -> dict[str, Any]:
    """A chat request as clients send it, with the words changed that a template may render."""
    return {
        name: changed(value, change) if name in RENDERED else value
        for name, value in request.items()
    }


def words(message: Message) -> str:
    """All words of a message, to look for something in."""
    wire = "" if message.wire is None else spelled_out(message.wire)
    return f"{message.content} {message.name or ''} {wire}"


def spelled_out(value: Any) -> str:
    """All words of a JSON value, those within the arguments of tool calls included."""
    found: list[str] = []

    def note(text: str) -> str:
        found.append(text)
        return text

    changed(value, note)
    return " ".join(found)


def broken(token: str) -> str:
    """A special token that is spelled out, such that no tokenizer recognises it."""
    return token[0] + _UNSEEN + token[1:]


def changed(value: Any, change: Change) -> Any:
    """A JSON value with its texts changed, and its keys, except those that are plain names.
    EngineRefused for one that is nested too deeply."""
    try:
        return _changed(value, change)
    except RecursionError as error:
        raise EngineRefused("the request is nested too deeply; use fewer levels") from error


def _changed(value: Any, change: Change) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {_key(k, change): _member(k, item, change) for k, item in value.items()}
    return [_changed(item, change) for item in value] if isinstance(value, list) else value


def _key(key: str, change: Change) -> str:
    return key if _PLAIN_NAME.fullmatch(key) else change(key)


def _member(key: str, value: Any, change: Change) -> Any:
    """The arguments of a tool call are JSON in a string. Templates render what it says, which can
    be escaped: \\u003c is the beginning of a special token, too."""
    if key != "arguments" or not isinstance(value, str):
        return _changed(value, change)
    try:
        arguments = strict_json.loads(value)
    except ValueError:  # a model may have written no JSON
        return change(value)
    after = _changed(arguments, change)
    return value if after == arguments else json.dumps(after, ensure_ascii=False)
