"""Upstream: the address of an OpenAI-compatible server, its timeouts and retries."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from redraft.server.engine.base import Call
from redraft.server.engine.http_engine.answer import Retryable
from redraft.server.retry import Backoff


@dataclass(frozen=True)
class Upstream:
    """An OpenAI-compatible server."""

    url: str  # as OpenAI clients take it; a bare host gets /v1
    model: str = ""  # empty: the first one it lists
    api_key: str | None = field(default=None, repr=False)
    name: str = "default"  # of the engine
    window: int | None = None  # None: what the upstream reports
    tokens: bool | None = None  # whether token ids go both ways; None: discover it
    thinks: bool = False  # it is known to keep a model's thoughts apart; they are taken anyway
    calls_tools: bool = True
    priority: bool = False  # pass Call.priority on; vLLM refuses it without priority scheduling
    connect_s: float = 5.0
    first_token_s: float = 120.0  # the wait in the upstream's queue included
    between_s: float = 30.0  # between any two events after that
    retries: int = 3
    tells_errors: bool = False  # its own words about them reach clients
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
        """The base of vLLM's own routes: /tokenize, /health."""
        return self.api.removesuffix("/v1")


class Patience:
    """The retries and the time that are left to one call."""

    def __init__(self, upstream: Upstream, timeout_s: float | None = None) -> None:
        self._first_token_s = upstream.first_token_s
        self._backoff = Backoff(upstream.retries, upstream.backoff_s)
        self._loop = asyncio.get_running_loop()
        self._until = None if timeout_s is None else self._loop.time() + timeout_s
        self.failures = 0

    def wait_s(self) -> float:
        """The longest wait for the first token of the next try."""
        return min(self._first_token_s, self._left_s())

    async def before_retry(self, failure: Retryable) -> None:
        """Back off, at least as long as the upstream asked for; raise ``failure`` when no retry
        or no time is left."""
        self.failures += 1
        delay_s = self._backoff.delay_s(self.failures, failure.after_s)
        if delay_s is None or delay_s > self._left_s():
            raise failure
        await asyncio.sleep(delay_s)

    def _left_s(self) -> float:
        return math.inf if self._until is None else max(0.0, self._until - self._loop.time())


def call_headers(call: Call, retry: int) -> dict[str, str]:
    # vLLM uses X-Request-Id as the id of its own request, which must be unique.
    headers = {"X-Request-Id": f"{call.request_id}-t{retry}" if retry else call.request_id}
    if call.session:
        headers["X-Session-ID"] = call.session
    if call.traceparent:
        headers["traceparent"] = call.traceparent
    return headers
