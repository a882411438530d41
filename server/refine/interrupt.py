"""Interrupt: ends a loop from outside, at the caller's deadline or when the server drains."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from redraft.server.refine.stopping import Stop
from redraft.server.refine.trace import StopReason

T = TypeVar("T")


class Interrupt:
    """One for each loop. ``cut`` ends the loop at once, whatever it is waiting for."""

    def __init__(self, deadline_ms: int | None = None) -> None:
        now = asyncio.get_running_loop().time()
        self._deadline_at = None if deadline_ms is None else now + deadline_ms / 1000
        self._timer: asyncio.TimerHandle | None = None
        self._callbacks: list[Callable[[], None]] = []
        self.reason: StopReason | None = None

    def cut(self, reason: StopReason) -> None:
        """The first reason counts."""
        self.reason = self.reason or reason
        for callback in self._callbacks:
            callback()

    def remaining_s(self) -> float | None:
        if self._deadline_at is None:
            return None
        return max(0.0, self._deadline_at - asyncio.get_running_loop().time())

    def check(self) -> None:
        if self.reason:
            raise Stop(self.reason)
        if self.remaining_s() == 0.0:
            raise Stop("deadline")

    async def wait(self, work: Awaitable[T]) -> T:
        """The result of ``work``; Stop when the loop is interrupted first."""
        with self.watch() as watch:
            return await watch.wait(work)

    @contextmanager
    def watch(self) -> Iterator[Watch]:
        """For many waits in a row, under one timer."""
        watch = Watch(self)
        with self.calling(watch.fire):
            yield watch

    @contextmanager
    def calling(self, callback: Callable[[], None]) -> Iterator[None]:
        """Call ``callback`` when the loop is interrupted before the block ends."""
        if self._timer is None and self._deadline_at is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(self._deadline_at, self.cut, "deadline")
        self._callbacks.append(callback)
        try:
            yield
        finally:
            self._callbacks.remove(callback)
            if self._timer is not None and not self._callbacks:
                self._timer.cancel()
                self._timer = None


class Watch:
    """Cancels what it waits for when its loop is interrupted. A timeout around a ``yield`` would
    cancel the consumer of the events instead."""

    def __init__(self, interrupt: Interrupt) -> None:
        self._interrupt = interrupt
        self._waiting: asyncio.Task[object] | None = None
        self._fired = False

    def fire(self) -> None:
        if self._waiting is not None and not self._fired:
            self._fired = True
            self._waiting.cancel()

    async def wait(self, work: Awaitable[T]) -> T:
        """The result of ``work``; Stop when the loop is interrupted first."""
        task = asyncio.current_task()
        assert task is not None
        cancelling, self._fired, self._waiting = task.cancelling(), False, task
        if self._interrupt.reason is not None:  # let work finish that does not have to wait
            asyncio.get_running_loop().call_soon(self.fire)
        try:
            result = await work
        except BaseException as error:
            ours = self._take_back(task) <= cancelling  # nobody else cancelled the task
            if self._fired and ours and isinstance(error, asyncio.CancelledError | TimeoutError):
                raise Stop(self._interrupt.reason or "deadline") from None
            raise
        finally:
            self._waiting = None
        self._take_back(task)
        return result

    def _take_back(self, task: asyncio.Task[object]) -> int:
        """Undo our own cancellation of the task; returns how many others there are."""
        return task.uncancel() if self._fired else task.cancelling()
