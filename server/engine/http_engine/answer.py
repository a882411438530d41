"""Parses what an OpenAI-compatible upstream answers: stream events and error bodies."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from redraft.server.engine.base import (
    EngineError,
    EngineRefused,
    EngineUnavailable,
    FinishReason,
    PromptTooLong,
    Sampling,
    Usage,
)
from redraft.server.engine.overflow import in_openais_words
from redraft.server.engine.stop_strings import Released, StopStrings

RETRIED_STATUS = frozenset({408, 409, 425, 429})  # and 5xx: the same request may work later
# The operator's mistake, not the caller's: a wrong key, a wrong address, a model not served.
_MISCONFIGURED = frozenset({401, 403, 404, 405})


class Retryable(EngineUnavailable):
    """Nothing was generated yet and the same call may work a little later."""

    def __init__(self, message: str, after_s: float | None = None) -> None:
        super().__init__(message)
        self.after_s = after_s  # what the upstream asked for


class Unsupported(EngineRefused):
    """The upstream does not know one parameter, and might do without it."""

    def __init__(self, message: str, param: str) -> None:
        super().__init__(message)
        self.param = param


class Answer:
    """Reads the events of one streamed completion, one after another."""

    def __init__(self, sampling: Sampling) -> None:
        self._stop = StopStrings(sampling.stop)
        self._usage: dict[str, Any] | None = None
        self._generated = 0
        self._cut = False  # at a stop string
        self._has_ids = False
        self._hidden = False  # the upstream keeps a model's thinking apart, but not its ids
        self.finish_reason: FinishReason | None = None
        self.over = False  # at a stop string that the upstream missed; the rest is ignored

    @property
    def exact(self) -> bool:
        """Whether token ids belong to the text."""
        return self._has_ids and not self._hidden

    @property
    def begun(self) -> bool:
        return self._generated > 0

    def read(self, event: bytes) -> Released:
        """The text and tokens of one event; EngineError when it reports a failure or is
        malformed."""
        if event == b"[DONE]":
            return Released()
        try:
            data = json.loads(event)
            if data.get("error"):
                raise error_from(_status(data["error"]), data, "in the middle of a completion")
            self._usage = data.get("usage") or self._usage
            choices = data.get("choices") or ()
            return self._choice(choices[0]) if choices else Released()
        except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
            shown = event[:120].decode("utf-8", "replace")
            raise EngineUnavailable(f"the upstream sent a malformed event: {shown!r}") from error

    def _choice(self, choice: dict[str, Any]) -> Released:
        delta = choice.get("delta") or choice
        text: str = delta.get("content" if "delta" in choice else "text") or ""
        ids = tuple(int(i) for i in choice.get("token_ids") or ())
        thought = bool(delta.get("reasoning") or delta.get("reasoning_content"))
        self._generated += len(ids) or bool(text or thought)
        self._has_ids |= bool(ids)
        self._hidden |= thought
        if reason := choice.get("finish_reason"):
            self.finish_reason = _finish_reason(reason)
            # The token that ended the completion is generated and counted, but not part of it.
            if reason == "stop" and not isinstance(choice.get("stop_reason"), str):
                ids = ids[:-1]
        if self._cut:
            return Released()
        released = self._stop.push(text, () if self._hidden else ids)
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
        return self._stop.flush()

    def usage(self, prompt_tokens: int) -> Usage:
        """The upstream's counts, or our own where it sent none."""
        counts = self._usage or {}
        try:
            details = counts.get("prompt_tokens_details") or {}
            return Usage(
                int(counts.get("prompt_tokens") or prompt_tokens),
                int(counts.get("completion_tokens") or self._generated),
                int(details.get("cached_tokens") or 0),
                calls=1,
            )
        except (ValueError, TypeError, AttributeError) as error:
            raise EngineUnavailable(f"the upstream sent malformed usage: {counts!r}") from error


def _finish_reason(reason: str) -> FinishReason:
    if reason in ("length", "max_tokens"):
        return "length"
    if reason in ("abort", "error"):
        # vLLM sends these with HTTP 200 when it shuts down or drops a request.
        raise Retryable(f"the upstream gave the completion up (finish_reason {reason!r})")
    if reason == "content_filter":
        raise EngineRefused("the upstream's content filter withheld the completion")
    return "stop"


def _status(error: Any) -> int:
    """The HTTP status an error event would have had."""
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) else 500


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
        kind, param, code = (None if f is None else str(f) for f in fields)
        return cls(_clipped(str(message)), kind, param, code)


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace")


def _clipped(message: str) -> str:
    message = " ".join(message.split())
    return message if len(message) <= 400 else f"{message[:400]}..."


def error_from(
    status: int, body: bytes | dict[str, Any], where: str, after_s: float | None = None
) -> EngineError:
    """The EngineError for an upstream's error."""
    error = UpstreamError.read(body)
    message = f"the upstream answered {status} {where}: {error.message or 'no reason given'}"
    if status >= 500 or status in RETRIED_STATUS:
        return Retryable(message, after_s)
    if status == 400 and error.param and (error.code or "").startswith("unsupported_"):
        return Unsupported(message, error.param)
    if overflow := in_openais_words(error.message, error.code):
        return PromptTooLong(overflow)
    if status in _MISCONFIGURED:
        return EngineUnavailable(f"{message} (check the upstream's URL, model and API key)")
    return EngineRefused(message)
