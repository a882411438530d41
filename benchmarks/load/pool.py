"""Works on many items concurrently. Failed calls are counted by reason and do not stop the rest."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from redraft.benchmarks.load.endpoint import CallFailed

Item = TypeVar("Item")
REPORT_EVERY_S = 10


async def work_through(
    items: Sequence[Item], work: Callable[[Item], Awaitable[None]], concurrency: int, what: str
) -> Counter[str]:
    """Do ``work`` for every item; returns the failures by reason."""
    failures: Counter[str] = Counter()
    waiting = iter(items)
    done, reported = 0, time.monotonic()

    async def worker() -> None:
        nonlocal done, reported
        for item in waiting:
            try:
                await work(item)
            except CallFailed as failed:
                if not failures[failed.reason]:
                    print(f"first {failed}", file=sys.stderr)
                failures[failed.reason] += 1
            done += 1
            if done == len(items) or time.monotonic() > reported + REPORT_EVERY_S:
                reported = time.monotonic()
                print(f"{what}: {done}/{len(items)}, failed {failures.total()}", file=sys.stderr)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(min(concurrency, len(items))):
            tasks.create_task(worker())
    return failures
