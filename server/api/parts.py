"""Parts of a chat that are not text: images, sound, files. They go to the engine as they came.

Drafts and feedback see them; in the words of a prompt each has its place, as "[image]". An engine
that refuses a chat with such a part is told of in an error that names the part.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from redraft.server.api.errors import invalid
from redraft.server.api.schema.content import Part
from redraft.server.api.schema.requests import ChatMessage
from redraft.server.engine.base import EngineRefused, Message
from redraft.server.refine.events import Event

_WORDS = {"image_url": "image", "input_audio": "sound", "video_url": "video"}
_LONGEST_TYPE = 40  # characters quoted of a type


def beyond_text(message: ChatMessage) -> bool:
    content = message.content
    return isinstance(content, list) and any(part.type != "text" for part in content)


def message_of(message: ChatMessage, role: str) -> Message:
    """A message with such parts; ``role`` as chat templates know it."""
    assert isinstance(message.content, list)
    words = "\n".join(_shown(part) for part in message.content)
    wire: dict[str, Any] = message.model_dump(
        exclude_unset=True, include={"content", "name", "tool_calls", "tool_call_id"}
    )
    return Message(role, words, message.name, {"role": role, **wire})


def _shown(part: Part) -> str:
    if part.type == "text":
        return part.text or ""
    return f"[{_WORDS.get(part.type, part.type[:_LONGEST_TYPE])}]"


def _first(messages: Sequence[ChatMessage]) -> tuple[str, str] | None:
    """The path and the type of the first part that is not text."""
    for index, message in enumerate(messages):
        if isinstance(message.content, list):
            for number, part in enumerate(message.content):
                if part.type != "text":
                    return f"messages[{index}].content[{number}]", part.type
    return None


def naming_parts(
    events: AsyncGenerator[Event, None], messages: Sequence[ChatMessage]
) -> AsyncGenerator[Event, None]:
    """The same events; when the engine refuses the chat, the error names its first part."""
    first = _first(messages)
    return events if first is None else _named(events, *first)


async def _named(
    events: AsyncGenerator[Event, None], path: str, kind: str
) -> AsyncGenerator[Event, None]:
    async with aclosing(events):
        try:
            async for event in events:
                yield event
        except EngineRefused as error:
            part = f"{path} is of type {kind[:_LONGEST_TYPE]!r}"
            message = (
                f"{part}, and the engine refused this chat: {error.told}; leave the part out, or "
                f"ask a model that takes it"
            )
            raise invalid(path, message, "unsupported_by_engine") from error
