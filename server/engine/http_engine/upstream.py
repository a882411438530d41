"""Upstream: where an OpenAI-compatible server is, and how patient to be with it."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from redraft.server.engine.base import Call
from redraft.server.engine.http_engine.answer import Retryable
from redraft.server.retry import Backoff


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """An OpenAI-compatible server. The defaults are the configuration's: ``build.upstream_at``."""

    url: str  # as OpenAI clients take it; a bare host gets /v1
    model: str  # empty: the first one it lists
    api_key: str | None = field(repr=False)
    name: str = "default"  # of the engine
    window: int | None  # None: what the upstream tells
    tokens: bool | None  # whether token ids go both ways; None: find out
    priority: bool  # pass Call.priority on; vLLM refuses it without priority scheduling
    connect_s: float
    first_token_s: float  # the wait in the upstream's queue included
    between_s: float  # between any two events after that
    retries: int
    backoff_s: float = 0.5  # doubled at each retry

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"upstream URL is {self.url!r}; expected http://HOST:PORT/v1")

    @property
    def api(self) -> str:
        url = self.url.rstrip("/")
        return url if urlsplit(url).path else f"{url}/v1"

    @property
    def root(self) -> str:
        """Where vLLM has what is not OpenAI's: /tokenize, /health."""
        return self.api.removesuffix("/v1")


class Patience:
    """How long one call may go on trying."""

    def __init__(self, upstream: Upstream, timeout_s: float | None = None) -> None:
        self._first_token_s = upstream.first_token_s
        self._backoff = Backoff(upstream.retries, upstream.backoff_s)
        self._loop = asyncio.get_running_loop()
        self._until = None if timeout_s is None else self._loop.time() + timeout_s
        self.tries = 0  # that failed

    def wait_s(self) -> float:
        """For the first token of the next try."""
        return min(self._first_token_s, self._left_s())

    async def before_retry(self, failure: Retryable) -> None:
        """Wait as long as the upstream asked for, or longer each time; or give up."""
        self.tries += 1
        delay_s = self._backoff.delay_s(self.tries, failure.after_s)
        if delay_s is None or delay_s > self._left_s():
            raise failure
        await asyncio.sleep(delay_s)

    def _left_s(self) -> float:
        return math.inf if self._until is None else max(0.0, self._until - self._loop.time())


def call_headers(call: Call, tries: int) -> dict[str, str]:
    # vLLM takes the request id for its own, and no two requests may share one.
    headers = {"X-Request-Id": call.request_id if tries == 0 else f"{call.request_id}-t{tries}"}
    if call.session:
        headers["X-Session-ID"] = call.session
    if call.traceparent:
        headers["traceparent"] = call.traceparent
    return headers
