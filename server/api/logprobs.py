"""Log probabilities of the answer that was kept, as OpenAI's two APIs have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Entry = Mapping[str, Any]  # OpenAI's, of one token of a chat


def of_chat(entries: Sequence[Entry]) -> dict[str, Any] | None:
    return {"content": list(entries), "refusal": None} if entries else None


def of_text(entries: Sequence[Entry], offset: int = 0) -> dict[str, Any] | None:
    """As completions have them. ``offset``: characters of the text before these tokens."""
    if not entries:
        return None
    tokens = [entry["token"] for entry in entries]
    offsets = []
    for token in tokens:
        offsets.append(offset)
        offset += len(token)
    return {
        "tokens": tokens,
        "token_logprobs": [entry["logprob"] for entry in entries],
        "top_logprobs": [
            {top["token"]: top["logprob"] for top in entry.get("top_logprobs") or ()}
            for entry in entries
        ],
        "text_offset": offsets,
    }
