"""Parses what an OpenAI-compatible upstream answers: stream events and error bodies."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

from redraft.server.engine.base import (
    Chunk,
    EngineError,
    EngineRefused,
    EngineUnavailable,
    FinishReason,
    Json,
    PromptTooLong,
    Sampling,
    Usage,
)
from redraft.server.engine.chat_chunks import Piece, Trimmed, finish_reason, read_piece, read_usage
from redraft.server.engine.overflow import in_openais_words
from redraft.server.engine.sse import DONE
from redraft.server.engine.stop_strings import Released, StopStrings
from redraft.server.engine.surrogates import Joined, whole, whole_in
from redraft.server.engine.tool_calls import DeltaReader, ToolCall

RETRIED_STATUS = frozenset({408, 409, 425, 429})  # and 5xx: the same request may work later
# The operator's mistake, not the caller's: a wrong key, a wrong address, a model not served.
_MISCONFIGURED = frozenset({401, 403, 404, 405})


class Retryable(EngineUnavailable):
    """Nothing was generated yet and the same call may work a little later."""

    def __init__(self, message: str, detail: str = "", after_s: float | None = None) -> None:
        super().__init__(message, detail)
        self.after_s = after_s  # what the upstream asked for


class Unsupported(EngineRefused):
    """The upstream does not know one parameter, and might do without it."""

    def __init__(self, message: str, detail: str, param: str) -> None:
        super().__init__(message, detail)
        self.param = param


@dataclass(frozen=True, slots=True)
class Heard:
    """What one event of the upstream adds: text that no stop string can be part of any more, and
    everything else as it came."""

    released: Released = field(default_factory=Released)
    thought: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    logprobs: tuple[Json, ...] = ()

    def chunk(self) -> Chunk | None:
        released = self.released
        if not (released.text or released.token_ids or self.beyond_text):
            return None
        return Chunk(
            released.text,
            released.token_ids,
            thought=self.thought,
            tool_calls=self.tool_calls,
            logprobs=self.logprobs,
        )

    @property
    def beyond_text(self) -> bool:
        return bool(self.thought or self.tool_calls or self.logprobs)


class Answer:
    """Reads the events of one streamed completion, one after another."""

    def __init__(self, sampling: Sampling) -> None:
        self._stop = StopStrings(sampling.stop)
        self._usage: dict[str, Any] = {}
        self._generated = self._thoughts = 0
        self._cut = False  # at a stop string
        self._has_ids = False
        self._beyond_text = False  # thoughts or tool calls came, whose ids are among the others
        self._tool_calls = DeltaReader()
        self._calls_tools = False
        self._joined = Joined()
        self._trimmed = Trimmed()
        self.finish_reason: FinishReason | None = None
        self.over = False  # at a stop string that the upstream missed; the rest is ignored

    @property
    def exact(self) -> bool:
        """Whether token ids belong to the text."""
        return self._has_ids and not self._beyond_text

    @property
    def begun(self) -> bool:
        return self._generated > 0

    def read(self, event: bytes) -> Heard:
        """EngineError when the event reports a failure or is malformed, unless the completion has
        ended: nothing that follows can take it back."""
        if event == DONE:
            return Heard()
        try:
            return self._heard(event)
        except EngineError:
            if self.finish_reason is None:
                raise
            return Heard()

    def _heard(self, event: bytes) -> Heard:
        try:
            data = json.loads(event)
            if data.get("error"):
                raise error_from(_status(data["error"]), data, "in the middle of a completion")
            if isinstance(data.get("usage"), dict):
                self._usage = data["usage"]
            choices = data.get("choices") or ()
            piece = self._whole(read_piece(choices[0])) if choices else Piece()
            piece = self._trimmed.of(piece)
            return Heard(self._released(piece), piece.thought, piece.tool_calls, piece.logprobs)
        except (ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
            shown = event[:120].decode("utf-8", "replace")
            raise EngineUnavailable("the upstream sent a malformed event", repr(shown)) from error

    def _whole(self, piece: Piece) -> Piece:
        """The piece without halves of characters, its tool calls as clients take them."""
        calls = []
        for call in map(self._tool_calls.read, piece.tool_calls):
            arguments = call["function"].get("arguments") or ""
            joined = self._joined.add(f"arguments of {call['index']}", arguments)
            calls.append(whole_in({**call, "function": {**call["function"], "arguments": joined}}))
        return replace(
            piece,
            text=self._joined.add("text", piece.text),
            thought=self._joined.add("thought", piece.thought),
            tool_calls=tuple(calls),
        )

    def _released(self, piece: Piece) -> Released:
        count = len(piece.token_ids) or bool(piece)
        self._generated += count
        self._thoughts += count if piece.thought else 0
        self._has_ids |= bool(piece.token_ids)
        self._calls_tools |= bool(piece.tool_calls)
        self._beyond_text |= bool(piece.thought or piece.tool_calls)
        ids = piece.token_ids
        if piece.finish_reason:
            self.finish_reason = _finish_reason(piece.finish_reason, self._calls_tools)
            # The token that ended the completion is generated and counted, but not part of it.
            ids = ids[:-1] if piece.by_token else ids
        if self._cut:
            return Released()
        released = self._stop.push(piece.text, () if self._beyond_text else ids)
        self._cut = self._stop.found
        if self._cut and self.finish_reason is None:
            self.finish_reason, self.over = "stop", True
        return released

    def rest(self) -> Released:
        """The text still withheld when the stream ends; EngineUnavailable if it ended too soon."""
        if self.finish_reason is None:
            if self.begun:
                raise EngineUnavailable("the upstream's stream ended in the middle of a completion")
            raise Retryable("the upstream's stream ended before the first token")
        last = self._stop.push(self._joined.rest("text"), ())
        withheld = self._stop.flush()
        return Released(last.text + withheld.text, last.token_ids + withheld.token_ids)

    def usage(self, prompt_tokens: int) -> Usage:
        """The upstream's counts, or our own where it sent none."""
        return read_usage(
            self._usage,
            prompt_tokens=prompt_tokens,
            generated=self._generated,
            thoughts=self._thoughts,
        )


def _finish_reason(reason: str, has_tool_calls: bool) -> FinishReason:
    if reason in ("abort", "error"):
        # vLLM sends these with HTTP 200 when it shuts down or drops a request.
        raise Retryable(f"the upstream gave the completion up (finish_reason {reason!r})")
    if reason == "content_filter":
        raise EngineRefused("the upstream's content filter withheld the completion")
    return finish_reason(reason, has_tool_calls=has_tool_calls)


def _status(error: Any) -> int:
    """The HTTP status an error event would have had."""
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) and 400 <= code < 600 else 500


@dataclass(frozen=True, slots=True)
class UpstreamError:
    """An upstream's error, in one shape."""

    message: str
    type: str | None = None
    param: str | None = None
    code: str | None = None

    @classmethod
    def read(cls, body: bytes | dict[str, Any]) -> UpstreamError:
        """Takes OpenAI's shape, an older vLLM's, FastAPI's, and plain text."""
        content = _parsed(body) if isinstance(body, bytes) else body
        error = content.get("error", content) if isinstance(content, dict) else content
        if not isinstance(error, dict):
            return cls(_clipped(str(error)))
        message = error.get("message") or error.get("detail") or json.dumps(error)
        fields = (error.get("type"), error.get("param"), error.get("code"))
        kind, param, code = (None if f is None else _clipped(str(f)) for f in fields)
        return cls(_clipped(str(message)), kind, param, code)


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body.decode("utf-8", "replace")


def _clipped(message: str) -> str:
    message = whole(" ".join(message.split()))
    return message if len(message) <= 400 else f"{message[:400]}..."


def error_from(
    status: int, body: bytes | dict[str, Any], where: str, after_s: float | None = None
) -> EngineError:
    """The EngineError for an upstream's error."""
    error = UpstreamError.read(body)
    message, detail = f"the upstream answered {status} {where}", error.message or "no reason given"
    if status >= 500 or status in RETRIED_STATUS:
        return Retryable(message, detail, after_s)
    if status == 400 and error.param and (error.code or "").startswith("unsupported_"):
        return Unsupported(message, detail, error.param)
    if overflow := in_openais_words(error.message, error.code):
        return PromptTooLong(overflow)
    if status in _MISCONFIGURED:
        hint = "check the upstream's URL, model and API key"
        return EngineUnavailable(message, f"{detail} ({hint})")
    return EngineRefused(message, detail)
