"""Calls whose results are kept in a journal: a run that was stopped goes on where it stopped, and
what failed is called again."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TypeVar

from redraft.benchmarks.load.endpoint import Endpoint, Session
from redraft.benchmarks.load.pool import work_through
from redraft.benchmarks.output.journal import Journal, Record

Item = TypeVar("Item")


def key_of(content: str) -> str:
    """The key of a record, from everything its content depends on."""
    return hashlib.sha256(content.encode()).hexdigest()[:24]


async def record_all(
    items: Mapping[str, Item],
    call: Callable[[Session, Item], Awaitable[Record]],
    endpoint: Endpoint,
    path: Path,
    concurrency: int,
    what: str,
) -> tuple[dict[str, Record], Counter[str]]:
    """The record of every item by its key, and the failures by reason."""
    with Journal(path) as journal:
        async with endpoint.session() as session:

            async def one(key: str) -> None:
                journal.add(key, await call(session, items[key]))

            missing = [key for key in items if key not in journal.records]
            failures = await work_through(missing, one, concurrency, what)
        records = journal.records
        return {key: records[key] for key in items if key in records}, failures
