"""The most tokens of a phase when nobody says: a part of the window that leaves room for the other
phases, and no more than an answer in prose needs. A tight window leaves less."""

from __future__ import annotations

from redraft.server.engine.base import Chat, Engine, Prompt, Tokens

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


def too_long(engine: Engine, room: int, max_tokens: int | None) -> str:
    prompt = engine.window - room
    new = f" + {max_tokens} new" if max_tokens else ""
    advice = f"lower max_tokens to {room} or " if room > 0 and max_tokens else ""
    return (
        f"the request needs {prompt} prompt{new} tokens, but the model's window is "
        f"{engine.window}; {advice}shorten the messages"
    )


async def prompt_tokens(engine: Engine, prompt: Prompt) -> int:
    """How long a prompt is; 0 where only the engine knows."""
    if isinstance(prompt, Tokens):
        return len(prompt.ids)
    return len(await engine.encode_chat(prompt.messages)) if engine.has_tokens else 0
