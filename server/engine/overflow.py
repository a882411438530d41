"""Overflow: a prompt that does not fit the model's window, in the words of OpenAI's API.

Client libraries recognise the case by these words (LiteLLM's ContextWindowExceededError), or by
OpenAI's code among them (LangChain's ContextOverflowError), and fall back to a larger model or a
shorter history.
"""

from __future__ import annotations

import re

from redraft.server.engine.base import PromptTooLong

_CODE = "(context_length_exceeded)"
_STATED = "this model's maximum context length is"
_OVERFLOW = re.compile(
    r"context[ _-](?:length|window|size|limit)|max_model_len|maximum model length"
    r"|prompt is too long|too many tokens",
    re.IGNORECASE,
)


def too_long(window: int, prompt_tokens: int, max_tokens: int | None = None) -> PromptTooLong:
    """``max_tokens``: what the request asks for, where the prompt alone would fit."""
    limit = f"This model's maximum context length is {window} tokens."
    room = window - prompt_tokens
    if max_tokens is None or room < 1:
        return PromptTooLong(
            f"{limit} However, your messages resulted in {prompt_tokens} tokens. Please reduce "
            f"the length of the messages to {window - 1} tokens or less {_CODE}."
        )
    return PromptTooLong(
        f"{limit} However, you requested {prompt_tokens + max_tokens} tokens ({prompt_tokens} in "
        f"the messages, {max_tokens} in the completion). Please lower max_tokens to {room} or "
        f"shorten the messages {_CODE}."
    )


def too_many_characters(window: int, characters: int) -> PromptTooLong:
    """A text so long that it need not be counted in tokens."""
    return PromptTooLong(
        f"This model's maximum context length is {window} tokens. However, your messages have "
        f"{characters} characters. Please reduce the length of the messages {_CODE}."
    )


def in_openais_words(message: str, code: str | None = None) -> str | None:
    """Another server's error as OpenAI would begin it; None when it is about something else."""
    if code != "context_length_exceeded" and not _OVERFLOW.search(message):
        return None
    if _STATED in message.lower():
        return message
    return f"This model's maximum context length is exceeded: {message}"
