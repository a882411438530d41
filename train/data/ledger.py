"""The ledger: every paid completion, on disk before the next is paid for, and never paid twice.

One JSON object per line, appended and fsynced; the key is a hash of all that decides the
completion (instruction, model, sampling, template). Reading it again after any crash gives back
what was paid for; a last line cut short by the crash is removed.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from redraft.server import jsonl
from redraft.train.program import Problem


class LedgerError(Problem):
    """The ledger cannot be used; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One engine call: what it returned and what it cost. A call that failed cost nothing and has
    no entry: the next run makes it again."""

    key: str
    kind: str  # draft, feedback, refinement, score, trace
    text: str = ""
    token_ids: tuple[int, ...] = ()
    finish_reason: str = "stop"
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0
    seconds: float = 0.0


def key_of(**parts: Any) -> str:
    """The key of a call: a hash of all that decides its completion."""
    content = json.dumps(parts, sort_keys=True, ensure_ascii=False, default=_jsonable)
    return hashlib.sha256(content.encode()).hexdigest()[:32]


def _jsonable(value: Any) -> Any:
    if hasattr(value, "__dataclass_fields__"):
        return asdict(value)
    raise TypeError(f"{type(value).__name__} cannot be part of a ledger key")


class Ledger:
    """Append-only; one process at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._file = jsonl.Appender(path, exclusive=True)
        except BlockingIOError:
            raise LedgerError(f"{path} is in use by another run; wait for it or stop it") from None
        self.repaired = self._file.repair()  # bytes of a line that a crash had cut short
        try:
            self.entries = {entry.key: entry for entry in read_entries(path)}
        except LedgerError:
            self._file.close()
            raise
        self.spent = sum(entry.cost for entry in self.entries.values())
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None

    def __contains__(self, key: str) -> bool:
        return key in self.entries

    def get(self, key: str) -> Entry | None:
        return self.entries.get(key)

    async def append(self, entry: Entry) -> None:
        """Return once the entry is on disk. Entries that arrive meanwhile share one fsync."""
        if entry.key in self.entries:
            raise LedgerError(f"entry {entry.key} is already in {self.path}")
        self.entries[entry.key] = entry
        self.spent += entry.cost
        line = jsonl.encode(_to_json(entry))
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((line, done))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write())
        await asyncio.shield(done)

    async def _write(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                await asyncio.to_thread(self._put, b"".join(line for line, _ in batch))
            except OSError as error:
                for _, done in batch:
                    done.set_exception(LedgerError(f"cannot write {self.path}: {error}"))
                raise
            for _, done in batch:
                if not done.done():
                    done.set_result(None)

    def _put(self, lines: bytes) -> None:
        self._file.write(lines)
        self._file.sync()

    async def close(self) -> None:
        if self._writer is not None:
            await self._writer
        self._file.close()


def read_entries(path: Path) -> Iterator[Entry]:
    """The entries of a ledger, one that another run is writing included."""
    for line in jsonl.lines(path, torn_end=True):
        try:
            yield _from_json(line.row())
        except (ValueError, TypeError, KeyError) as error:
            raise LedgerError(
                f"{line.where} cannot be read ({error}); restore the file from a copy, or delete "
                f"that line to pay for it again"
            ) from error


def _to_json(entry: Entry) -> dict[str, Any]:
    content = asdict(entry)
    return {k: v for k, v in content.items() if v != ()}


def _from_json(content: Mapping[str, Any]) -> Entry:
    return Entry(**{**content, "token_ids": tuple(content.get("token_ids", ()))})
