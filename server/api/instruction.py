"""Instructed: what ``/v1/refine`` and ``/v1/feedback`` have in common: an instruction, checked,
and a job whose errors name the field it came in."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from redraft.server.api import unsupported
from redraft.server.api.chat import instruction_of as instruction_of_chat
from redraft.server.api.errors import describe, invalid
from redraft.server.api.schema.refine import Instructed
from redraft.server.config import ServerConfig
from redraft.server.engine.base import PromptTooLong
from redraft.server.refine.events import Event
from redraft.server.refine.loop import Given
from redraft.server.refine.trace import Instruction
from redraft.server.service import Job, Service


def instruction_of(body: Instructed, service: Service, config: ServerConfig) -> Instruction:
    """ApiError for what is not text, and for what only the engine's own layer can honour."""
    if beyond_loop := unsupported.needs_direct(body.chat()):
        raise unsupported.refused(beyond_loop, service.model.engine.model)
    if body.prompt is not None:
        return Given.text(body.prompt).instruction
    messages = body.messages or []
    if len(messages) > config.max_messages:
        message = f"there are {len(messages)} messages; the most is {config.max_messages}"
        raise invalid("messages", message)
    return instruction_of_chat(messages)


async def run(service: Service, job: Job, body: Instructed) -> AsyncGenerator[Event, None]:
    """The events of the job; ApiError when the instruction is too long."""
    try:
        async with aclosing(service.run(job)) as events:
            async for event in events:
                yield event
    except PromptTooLong as error:
        raise describe(error, body.instruction_param) from error
