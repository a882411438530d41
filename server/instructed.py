"""Instructed: what ``/v1/refine`` and ``/v1/feedback`` have in common: an instruction, checked,
and a job whose errors name the field it came in."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from server import beyond
from server.chat import instruction_of as instruction_of_chat
from server.engine.base import PromptTooLong
from server.errors import describe, invalid
from server.refine.events import Event
from server.refine.loop import Given
from server.refine.trace import Instruction
from server.refine_protocol import Instructed
from server.service import Job, Service
from server.settings import ApiSettings


def instruction_of(body: Instructed, service: Service, settings: ApiSettings) -> Instruction:
    """ApiError for what is not text, and for what only the engine's own layer can honour."""
    if beyond_loop := beyond.needs_direct(body.chat()):
        raise beyond.refused(beyond_loop, service.model.engine.model)
    if body.prompt is not None:
        return Given.text(body.prompt).instruction
    messages = body.messages or []
    if len(messages) > settings.max_messages:
        message = f"there are {len(messages)} messages; the most is {settings.max_messages}"
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
