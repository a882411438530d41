"""The most tokens of a phase when nobody says: a part of the window that leaves room for the other
phases, and no more than an answer in prose needs. A tight window leaves less."""

from __future__ import annotations

from contextlib import suppress

from redraft.server.engine.base import Chat, Engine, EngineError, Prompt, Tokens

MOST_OF_RESPONSE, MOST_OF_FEEDBACK = 1024, 512
UNLIMITED = 0  # as an option has it
TEMPLATE_TOKENS = 512  # that a chat template may add to what the messages say


def response_tokens(window: int, chosen: int | None) -> int | None:
    """Of a draft or a refinement: a third of the window, at most 1,024. ``chosen``: the operator's
    own number, or ``UNLIMITED``."""
    return min(MOST_OF_RESPONSE, window // 3) if chosen is None else chosen or None


def feedback_tokens(window: int, chosen: int | None) -> int | None:
    """Of feedback: a quarter of the window, at most 512."""
    return min(MOST_OF_FEEDBACK, window // 4) if chosen is None else chosen or None


async def fitting(engine: Engine, chat: Chat, most: int, fair_share: int) -> int:
    """``most``, or what the window has room for beside a chat that the engine renders itself."""
    content = sum(len(message.content.encode()) for message in chat.messages)
    # No token is shorter than a byte, so most chats need not be counted.
    if not engine.has_tokens or content + TEMPLATE_TOKENS + most <= engine.window:
        return most
    room = engine.window - await prompt_tokens(engine, chat)
    return max(1, min(most, room // fair_share))


async def prompt_tokens(engine: Engine, prompt: Prompt) -> int:
    """How long a prompt is; 0 where only the engine knows."""
    if isinstance(prompt, Tokens):
        return len(prompt.ids)
    if not engine.has_tokens or prompt.has_media:
        return 0
    with suppress(EngineError):  # where the engine is elsewhere; a count is not worth a failure
        return len(await engine.encode_chat(prompt.messages, prompt.options))
    return 0
