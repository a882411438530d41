"""Overflow: recognises another server's error about a prompt that does not fit the window."""

from __future__ import annotations

import re

_STATED = "this model's maximum context length is"
_OVERFLOW = re.compile(
    r"context[ _-](?:length|window|size|limit)|max_model_len|maximum model length"
    r"|prompt is too long|too many tokens",
    re.IGNORECASE,
)


def in_openais_words(message: str, code: str | None = None) -> str | None:
    """Another server's error as OpenAI would begin it; None when it is about something else."""
    if code != "context_length_exceeded" and not _OVERFLOW.search(message):
        return None
    if _STATED in message.lower():
        return message
    return f"This model's maximum context length is exceeded: {message}"
