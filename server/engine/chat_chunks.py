"""Reads the choices and the usage of OpenAI's completions and chat completions, streamed.

Nothing in them is taken for what it should be: text that is no text, or a token that is no number,
is an error here, where an engine can tell whose it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from redraft.server.engine.base import FinishReason, Json, Usage
from redraft.server.engine.surrogates import whole
from redraft.server.engine.tool_calls import ToolCall

MOST_TOKENS = 10_000_000  # of one call; a larger count is none
LEAST_LOGPROB = -9999.0  # for minus infinity, which JSON has no word for; as vLLM has it


@dataclass(frozen=True, slots=True)
class Piece:
    """What one event adds to a completion. ``token_ids`` are those of everything in it."""

    text: str = ""
    token_ids: tuple[int, ...] = ()
    thought: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    logprobs: tuple[Json, ...] = ()
    finish_reason: str | None = None  # as it was sent
    by_string: bool = False  # it ended at a stop string

    @property
    def by_token(self) -> bool:
        """Whether its last token ended the completion and is no part of it."""
        return self.finish_reason in ("stop", "tool_calls") and not self.by_string

    def __bool__(self) -> bool:
        return bool(self.text or self.thought or self.tool_calls or self.token_ids)


class Trimmed:
    """Pieces without what belongs to neither thought nor text: white space where either begins, if
    there was a thought; the log probabilities of other tokens than those of the text."""

    def __init__(self) -> None:
        self._thought = self._text = False  # whether it has begun

    def of(self, piece: Piece) -> Piece:
        thought = piece.thought if self._thought else piece.thought.lstrip()
        self._thought |= bool(thought)
        trims = self._thought and not self._text
        text = piece.text.lstrip() if trims else piece.text
        self._text |= bool(text)
        return replace(piece, thought=thought, text=text, logprobs=self._logprobs(piece, text))

    def _logprobs(self, piece: Piece, text: str) -> tuple[Json, ...]:
        if piece.thought or piece.tool_calls or (self._thought and not text):
            return ()
        return piece.logprobs[:-1] if piece.by_token and piece.token_ids else piece.logprobs


def read_piece(choice: Json) -> Piece:
    """ValueError, TypeError, AttributeError or LookupError for a choice in another shape."""
    delta = choice.get("delta") or choice
    return Piece(
        text=_text(delta.get("content" if "delta" in choice else "text")),
        token_ids=tuple(map(_token_id, choice.get("token_ids") or ())),
        # Servers use either name, and some send both.
        thought=_text(delta.get("reasoning") or delta.get("reasoning_content")),
        tool_calls=tuple(dict(call) for call in delta.get("tool_calls") or ()),
        logprobs=tuple(_entries(choice.get("logprobs") or {})),
        finish_reason=_text(choice.get("finish_reason")) or None,
        by_string=isinstance(choice.get("stop_reason"), str),
    )


def _text(value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise TypeError(f"expected a text, got {value!r}")
    return value


def _token_id(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise TypeError(f"expected a token id, got {value!r}")
    return value


def finish_reason(sent: str, *, has_tool_calls: bool) -> FinishReason:
    if sent in ("length", "max_tokens", "repetition"):
        return "length"
    return "tool_calls" if has_tool_calls else "stop"


def read_usage(counts: Json, *, prompt_tokens: int, generated: int, thoughts: int) -> Usage:
    """The server's counts, or our own where it sent none that can be true."""
    prompt = _count(counts.get("prompt_tokens"), prompt_tokens)
    completion = _count(counts.get("completion_tokens"), generated)
    return Usage(
        prompt,
        completion,
        min(prompt, _count(_detail(counts, "prompt", "cached_tokens"), 0)),
        calls=1,
        thought_tokens=min(
            completion, _count(_detail(counts, "completion", "reasoning_tokens"), thoughts)
        ),
    )


def _detail(counts: Json, kind: str, name: str) -> Any:
    details = counts.get(f"{kind}_tokens_details")
    return details.get(name) if isinstance(details, dict) else None


def _count(sent: Any, otherwise: int) -> int:
    return sent if type(sent) is int and 0 < sent <= MOST_TOKENS else otherwise


def _entries(logprobs: Json) -> Iterator[Json]:
    """The entries of a chat; those of a completion, which come in columns, in the same shape."""
    if "tokens" not in logprobs:
        for sent in logprobs.get("content") or ():
            alternatives = [_entry(**_named(top)) for top in sent.get("top_logprobs") or ()]
            yield {**_entry(**_named(sent)), "top_logprobs": alternatives}
        return
    tokens, values = logprobs["tokens"], logprobs["token_logprobs"]
    tops = logprobs.get("top_logprobs") or [{}] * len(tokens)
    for token, value, top in zip(tokens, values, tops, strict=True):
        alternatives = [_entry(name, logprob) for name, logprob in (top or {}).items()]
        yield {**_entry(token, value), "top_logprobs": alternatives}


def _named(sent: Json) -> dict[str, Any]:
    return {name: sent.get(name) for name in ("token", "logprob", "bytes")}


def _entry(token: Any, logprob: Any, bytes: Any = None) -> Json:
    if not isinstance(token, str) or type(logprob) not in (int, float) or math.isnan(logprob):
        raise TypeError(f"expected a token and its logprob, got {token!r} and {logprob!r}")
    token = whole(token)
    of_token = isinstance(bytes, list) and all(type(b) is int and 0 <= b < 256 for b in bytes)
    return {
        "token": token,
        "logprob": min(0.0, max(LEAST_LOGPROB, logprob)),
        "bytes": bytes if of_token else list(token.encode()),
    }
