"""Media: the parts of an instruction that are not text, passed along where it is talked about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from redraft.server.engine.base import Message


def with_media(request: Message, messages: Sequence[Message]) -> Message:
    """``request``, followed by the parts of ``messages`` that are not text, in their order."""
    media = [
        part
        for message in messages
        if message.has_media and message.wire is not None
        for part in message.wire["content"]
        if part.get("type") != "text"
    ]
    if not media:
        return request
    content = [{"type": "text", "text": request.content}, *media]
    return replace(request, wire={"role": request.role, "content": content})
