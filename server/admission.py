"""Admission: decides which loops run now, which wait, and which are rejected.

Loops are admitted, not engine calls, so an admitted loop can always finish. The queue is first
come, first served, except that a client whose full share is running is passed over.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal, Protocol

from redraft.server.config import ServerConfig
from redraft.server.refine.interrupt import Interrupt
from redraft.server.refine.loop import NoDraft
from redraft.server.refine.stopping import Stop

Reason = Literal[
    "queue_full", "queue_timeout", "client_share", "requests_per_minute", "tokens_per_minute"
]
SHORTEST_RETRY_S, LONGEST_RETRY_S = 1, 120  # OpenAI's clients give up on longer hints
MINUTE_S = 60.0
_SMOOTHING = 0.1  # the weight of the latest loop in the typical duration


class Rejected(Exception):
    """A request that is not admitted: answered with 429 and ``Retry-After: retry_after_s``."""

    def __init__(
        self,
        reason: Reason,
        message: str,
        retry_after_s: int,
    ) -> None:
        super().__init__(f"{message}; send the request again in {retry_after_s} s")
        self.reason = reason
        self.retry_after_s = retry_after_s


class AdmissionReport(Protocol):
    """Receives the length of the queue, waiting times and rejections."""

    def queued(self, length: int) -> None: ...

    def waited(self, seconds: float) -> None: ...

    def rejected(self, reason: str) -> None: ...


class _Waiter:
    """One loop in the queue. ``called`` is done when the loop has its place or is dismissed."""

    def __init__(self, client: str) -> None:
        self.client = client
        self.called: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.placed = False


class Admission:
    """``max_loops`` run and ``max_queue`` wait, none longer than ``queue_timeout_s``. One client
    has at most the fraction ``max_share`` of both."""

    def __init__(self, config: ServerConfig) -> None:
        self.max_loops, self.max_queue = config.max_loops, config.max_queue
        self.queue_timeout_s = config.queue_timeout_s
        self._loops_each = max(1, math.ceil(config.max_loops * config.max_share))
        self._queue_each = math.ceil(config.max_queue * config.max_share)
        self._running: Counter[str] = Counter()
        self._waiting: Counter[str] = Counter()
        self._queue: dict[_Waiter, None] = {}  # a set that keeps the order of arrival
        self._typical_s = 1.0
        self._report: AdmissionReport | None = None

    def report_to(self, report: AdmissionReport) -> None:
        self._report = report

    @property
    def running(self) -> int:
        return self._running.total()

    @property
    def waiting(self) -> int:
        return len(self._queue)

    @property
    def full(self) -> bool:
        """Whether the next loop would be rejected."""
        return self.running >= self.max_loops and self.waiting >= self.max_queue

    @asynccontextmanager
    async def place(self, client: str, interrupt: Interrupt) -> AsyncIterator[None]:
        """A place for one loop. Rejected when there is none; NoDraft when the loop is interrupted
        while it waits."""
        clock = asyncio.get_running_loop().time
        arrived = clock()
        if self._fits(client):
            self._running[client] += 1
        else:
            await self._wait(client, interrupt)
        started = clock()
        if self._report:
            self._report.waited(started - arrived)
        try:
            yield
        finally:
            self._typical_s += _SMOOTHING * (clock() - started - self._typical_s)
            self._leave(client)

    def dismiss(self, error: Callable[[], Exception]) -> None:
        """Fail all waiting loops, each with an error of its own."""
        for waiter in self._queue:
            if not waiter.called.done():
                waiter.called.set_exception(error())

    def _fits(self, client: str) -> bool:
        return self.running < self.max_loops and self._running[client] < self._loops_each

    async def _wait(self, client: str, interrupt: Interrupt) -> None:
        self._check_room(client)
        waiter = _Waiter(client)
        self._queue[waiter] = None
        self._waiting[client] += 1
        self._report_length()
        entered = False
        try:
            async with asyncio.timeout(self.queue_timeout_s):
                await interrupt.wait(waiter.called)
            entered = True
        except Stop as stop:
            raise NoDraft(stop.reason) from None
        except TimeoutError:
            waited = f"no place was free within {self.queue_timeout_s:g} s"
            raise self._rejection("queue_timeout", waited) from None
        finally:
            if not waiter.placed:
                self._unqueue(waiter)
            elif not entered:  # cancelled at the moment it got its place
                self._leave(client)

    def _check_room(self, client: str) -> None:
        if self.waiting >= self.max_queue:
            busy = f"{self.running} requests are running and {self.waiting} waiting"
            raise self._rejection("queue_full", busy)
        if self._waiting[client] >= self._queue_each:
            share = f"{self._running[client]} of your requests are running"
            raise self._rejection("client_share", f"{share} and {self._waiting[client]} waiting")

    def _rejection(self, reason: Reason, message: str) -> Rejected:
        if self._report:
            self._report.rejected(reason)
        # The time until the loops waiting now have run.
        hint = math.ceil(self._typical_s * (self.waiting + 1) / self.max_loops)
        return Rejected(reason, message, min(max(hint, SHORTEST_RETRY_S), LONGEST_RETRY_S))

    def _leave(self, client: str) -> None:
        self._running[client] -= 1
        if not self._running[client]:
            del self._running[client]
        self._call_next()

    def _call_next(self) -> None:
        """Give free places to the loops that wait longest."""
        for waiter in list(self._queue):
            if self.running >= self.max_loops:
                return
            if waiter.called.done() or not self._fits(waiter.client):
                continue
            self._unqueue(waiter)
            self._running[waiter.client] += 1
            waiter.placed = True
            waiter.called.set_result(None)

    def _unqueue(self, waiter: _Waiter) -> None:
        del self._queue[waiter]
        self._waiting[waiter.client] -= 1
        if not self._waiting[waiter.client]:
            del self._waiting[waiter.client]
        self._report_length()

    def _report_length(self) -> None:
        if self._report:
            self._report.queued(self.waiting)


@dataclass
class _Bucket:
    """What one client has left of one limit."""

    limit: int  # a minute
    left: float
    filled_at: float

    def fill(self, now: float) -> float:
        self.left = min(self.limit, self.left + (now - self.filled_at) * self.limit / MINUTE_S)
        self.filled_at = now
        return self.left

    def wait_s(self, amount: float) -> int:
        """Whole seconds until ``amount`` is left."""
        seconds = math.ceil((amount - self.left) * MINUTE_S / self.limit)
        return min(max(seconds, SHORTEST_RETRY_S), LONGEST_RETRY_S)


class RateLimits:
    """Limits each client's requests and tokens per minute; None: no limit.

    A client is an API key; without keys all callers are one client. Each limit is a bucket that
    fills continuously, so that an idle client may spend a minute's worth at once, and no more."""

    def __init__(self, config: ServerConfig) -> None:
        self._requests = config.requests_per_minute
        self._tokens = config.tokens_per_minute
        self._buckets: dict[tuple[str, Reason], _Bucket] = {}

    def take(self, client: str) -> None:
        """Count one request; Rejected when the client has spent its limit."""
        if self._tokens is not None:
            # A request's tokens are known at its end only, so its bucket may become negative, and
            # the next request then waits for it to fill.
            self._check(client, "tokens_per_minute", self._tokens, 0.001)
        if self._requests is not None:
            self._check(client, "requests_per_minute", self._requests, 1).left -= 1

    def left(self, client: str) -> int | None:
        """The tokens that a client may still spend in this minute; None: as many as it likes."""
        if self._tokens is None:
            return None
        return max(0, int(self._bucket(client, "tokens_per_minute", self._tokens).fill(_now())))

    def spend(self, client: str, tokens: int) -> None:
        """Count the tokens that one request read and wrote."""
        if self._tokens is not None:
            bucket = self._bucket(client, "tokens_per_minute", self._tokens)
            bucket.fill(_now())
            bucket.left -= tokens

    def _check(self, client: str, reason: Reason, limit: int, amount: float) -> _Bucket:
        bucket = self._bucket(client, reason, limit)
        if bucket.fill(_now()) >= amount:
            return bucket
        message = f"your {limit} {reason.partition('_')[0]} a minute are spent"
        raise Rejected(reason, message, bucket.wait_s(amount))

    def _bucket(self, client: str, reason: Reason, limit: int) -> _Bucket:
        return self._buckets.setdefault((client, reason), _Bucket(limit, limit, _now()))


def _now() -> float:
    return asyncio.get_running_loop().time()
