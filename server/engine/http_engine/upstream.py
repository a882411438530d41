"""Upstream: where an OpenAI-compatible server is, and how patient to be with it."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from redraft.server.engine.base import Call
from redraft.server.engine.http_engine.answer import Retryable

LONGEST_BACKOFF_S = 8.0
LONGEST_RETRY_AFTER_S = 60.0  # an upstream that asks for more is as good as down


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
        self._upstream = upstream
        self._loop = asyncio.get_running_loop()
        self._until = None if timeout_s is None else self._loop.time() + timeout_s
        self.tries = 0  # that failed

    def wait_s(self) -> float:
        """For the first token of the next try."""
        longest = self._upstream.first_token_s
        return longest if self._until is None else min(longest, self._left_s(self._until))

    async def before_retry(self, failure: Retryable) -> None:
        """Wait as long as the upstream asked for, or longer each time; or give up."""
        doubled = min(LONGEST_BACKOFF_S, self._upstream.backoff_s * 2**self.tries)
        # Jitter, so that those who failed together do not come back together.
        delay = max(random.uniform(0.5, 1.0) * doubled, failure.after_s or 0.0)
        longest = LONGEST_RETRY_AFTER_S if self._until is None else self._left_s(self._until)
        if self.tries >= self._upstream.retries or delay > min(longest, LONGEST_RETRY_AFTER_S):
            raise failure
        self.tries += 1
        await asyncio.sleep(delay)

    def _left_s(self, until: float) -> float:
        return max(0.0, until - self._loop.time())


def call_headers(call: Call, tries: int) -> dict[str, str]:
    # vLLM takes the request id for its own, and no two requests may share one.
    headers = {"X-Request-Id": call.request_id if tries == 0 else f"{call.request_id}-t{tries}"}
    if call.session:
        headers["X-Session-ID"] = call.session
    if call.traceparent:
        headers["traceparent"] = call.traceparent
    return headers
