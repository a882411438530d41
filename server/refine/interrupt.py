"""Interrupt: what can end a loop from outside, the caller's deadline or the server draining."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from redraft.server.refine.stopping import Stop
from redraft.server.refine.trace import StopReason

T = TypeVar("T")


class Interrupt:
    """One per loop. ``cut`` ends it at once, whatever it is waiting for."""

    def __init__(self, deadline_ms: int | None = None) -> None:
        now = asyncio.get_running_loop().time()
        self._deadline_at = None if deadline_ms is None else now + deadline_ms / 1000
        self._cut: StopReason | None = None
        self._waiting: set[asyncio.Timeout] = set()

    def cut(self, reason: StopReason) -> None:
        """The first reason counts."""
        self._cut = self._cut or reason
        for timeout in self._waiting:
            if not timeout.expired():
                timeout.reschedule(0)

    def remaining_s(self) -> float | None:
        if self._deadline_at is None:
            return None
        return max(0.0, self._deadline_at - asyncio.get_running_loop().time())

    def check(self) -> None:
        if self._cut:
            raise Stop(self._cut)
        if self.remaining_s() == 0.0:
            raise Stop("deadline")

    async def wait(self, work: Awaitable[T]) -> T:
        """The result of ``work``; Stop when the loop is interrupted first."""
        # Around each await and never around a yield: a timeout that spans a yield would cancel
        # whoever happens to consume the events.
        timeout = asyncio.timeout_at(0 if self._cut else self._deadline_at)
        self._waiting.add(timeout)
        try:
            async with timeout:
                return await work
        except TimeoutError:
            if not timeout.expired():
                raise
            raise Stop(self._cut or "deadline") from None
        finally:
            self._waiting.discard(timeout)
