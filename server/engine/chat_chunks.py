"""Reads the choices and the usage of OpenAI's completions and chat completions, streamed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from redraft.server.engine.base import FinishReason, Json, Usage
from redraft.server.engine.tool_calls import ToolCall


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
    text: str = delta.get("content" if "delta" in choice else "text") or ""
    return Piece(
        text=text,
        token_ids=tuple(int(i) for i in choice.get("token_ids") or ()),
        # Servers use either name, and some send both.
        thought=str(delta.get("reasoning") or delta.get("reasoning_content") or ""),
        tool_calls=tuple(dict(call) for call in delta.get("tool_calls") or ()),
        logprobs=tuple(_entries(choice.get("logprobs") or {})),
        finish_reason=choice.get("finish_reason"),
        by_string=isinstance(choice.get("stop_reason"), str),
    )


def finish_reason(sent: str, *, has_tool_calls: bool) -> FinishReason:
    if sent in ("length", "max_tokens", "repetition"):
        return "length"
    return "tool_calls" if has_tool_calls else "stop"


def read_usage(counts: Json, *, prompt_tokens: int, generated: int, thoughts: int) -> Usage:
    """The server's counts, or our own where it sent none."""
    prompt = counts.get("prompt_tokens_details") or {}
    completion = counts.get("completion_tokens_details") or {}
    return Usage(
        int(counts.get("prompt_tokens") or prompt_tokens),
        int(counts.get("completion_tokens") or generated),
        int(prompt.get("cached_tokens") or 0),
        calls=1,
        thought_tokens=int(completion.get("reasoning_tokens") or thoughts),
    )


def _entries(logprobs: Json) -> Iterator[Json]:
    """The entries of a chat; those of a completion, which come in columns, in the same shape."""
    if "tokens" not in logprobs:
        yield from logprobs.get("content") or ()
        return
    tokens, values = logprobs["tokens"], logprobs["token_logprobs"]
    tops = logprobs.get("top_logprobs") or [{}] * len(tokens)
    for token, value, top in zip(tokens, values, tops, strict=True):
        alternatives = [_entry(name, logprob) for name, logprob in (top or {}).items()]
        yield {**_entry(token, value), "top_logprobs": alternatives}


def _entry(token: str, logprob: float) -> Json:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode("utf-8", "replace"))}
