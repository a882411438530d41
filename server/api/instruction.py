"""Instructions: the chat or the text of a request, in the form the loop takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from redraft.server.api import parts, unsupported
from redraft.server.api.depends import Context
from redraft.server.api.errors import describe, invalid
from redraft.server.api.schema.refine import Instructed
from redraft.server.api.schema.requests import ChatMessage
from redraft.server.config import ServerConfig
from redraft.server.engine.base import PLAIN, ChatOptions, Message, PromptTooLong
from redraft.server.refine.loop import Brief
from redraft.server.refine.trace import Instruction


def check_length(messages: Sequence[ChatMessage], config: ServerConfig) -> None:
    if len(messages) > config.max_messages:
        message = f"there are {len(messages)} messages; the most is {config.max_messages}"
        raise invalid("messages", message)


def of_chat(messages: Sequence[ChatMessage], options: ChatOptions = PLAIN) -> Instruction:
    """The chat without the reasoning of earlier answers."""
    return Instruction(tuple(_message(message) for message in messages), options)


def of_body(body: Instructed, context: Context) -> Instruction:
    """The instruction of ``/v1/refine`` or ``/v1/feedback``; ApiError for content that is not
    text, and for fields that need direct mode."""
    if field := unsupported.needs_direct(body.chat()):
        raise unsupported.refused(field, context.model_name)
    if body.prompt is not None:
        return Brief.text(body.prompt).instruction
    messages = body.messages or []
    check_length(messages, context.config)
    return of_chat(messages)


@contextmanager
def came_in(field: str) -> Iterator[None]:
    """Within this block, a prompt that is too long is an ApiError about ``field``."""
    try:
        yield
    except PromptTooLong as error:
        raise describe(error, field) from error


def _message(message: ChatMessage) -> Message:
    if parts.beyond_text(message):
        return parts.message_of(message, _role(message))
    content = message.content or ""
    if isinstance(content, list):
        content = "\n".join(part.text or "" for part in content)
    role = _role(message)
    calls = [call.model_dump() for call in message.tool_calls or ()]
    wire = {"tool_calls": calls, "tool_call_id": message.tool_call_id}
    wire = {name: value for name, value in wire.items() if value}
    if not wire:
        return Message(role, content, message.name)
    named = {"name": message.name} if message.name else {}
    return Message(role, content, message.name, {"role": role, "content": content, **named, **wire})


def _role(message: ChatMessage) -> str:
    # OpenAI's newer word for the same thing; chat templates know the older one.
    return "system" if message.role == "developer" else message.role
