"""Rates: how much one client may ask for in a minute, in requests and in tokens.

A client is an API key; without keys everyone together is one. Its minute is a bucket that fills
all the time, so that who was idle may ask for a minute's worth at once, and no more.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass

from redraft.server.admission import LONGEST_RETRY_S, SHORTEST_RETRY_S, Reason, Rejected

MINUTE_S = 60.0


@dataclass
class _Bucket:
    """What is left of one limit for one client."""

    limit: int  # a minute
    left: float
    filled_at: float

    def fill(self, now: float) -> float:
        self.left = min(self.limit, self.left + (now - self.filled_at) * self.limit / MINUTE_S)
        self.filled_at = now
        return self.left

    def wait_s(self, wanted: float) -> int:
        """Whole seconds until so much is there."""
        seconds = math.ceil((wanted - self.left) * MINUTE_S / self.limit)
        return min(max(seconds, SHORTEST_RETRY_S), LONGEST_RETRY_S)


class Rates:
    """None: no limit."""

    def __init__(
        self, requests_per_minute: int | None = None, tokens_per_minute: int | None = None
    ) -> None:
        self._requests, self._tokens = requests_per_minute, tokens_per_minute
        self._buckets: dict[tuple[str, Reason], _Bucket] = {}

    def take(self, client: str) -> None:
        """Count one request; Rejected when the client has had its minute's worth."""
        if self._tokens is not None:
            # How many it will take nobody knows yet: the last request may go below nothing, and
            # the next then waits for it.
            self._check(client, "tokens_per_minute", self._tokens, 0.001)
        if self._requests is not None:
            self._check(client, "requests_per_minute", self._requests, 1).left -= 1

    def spend(self, client: str, tokens: int) -> None:
        """Tokens that one request read and wrote."""
        if self._tokens is not None:
            bucket = self._bucket(client, "tokens_per_minute", self._tokens)
            bucket.fill(_now())
            bucket.left -= tokens

    def _check(self, client: str, reason: Reason, limit: int, wanted: float) -> _Bucket:
        bucket = self._bucket(client, reason, limit)
        if bucket.fill(_now()) >= wanted:
            return bucket
        message = f"your {limit} {reason.partition('_')[0]} a minute are spent"
        raise Rejected(reason, message, bucket.wait_s(wanted))

    def _bucket(self, client: str, reason: Reason, limit: int) -> _Bucket:
        return self._buckets.setdefault((client, reason), _Bucket(limit, limit, _now()))


def _now() -> float:
    return asyncio.get_running_loop().time()
