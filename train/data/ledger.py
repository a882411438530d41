"""The ledger: every paid completion, on disk before the next is paid for, and never paid twice.

One JSON object per line, appended and fsynced; the key is a hash of all that decides the
completion (instruction, model, sampling, template). Reading it again after any crash gives back
what was paid for; a last line cut short by the crash is removed.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from redraft.server import jsonl


class LedgerError(Exception):
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
    content = json.dumps(parts, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(content.encode()).hexdigest()[:32]


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

    def get(self, key: str) -> Entry | None:
        return self.entries.get(key)

    async def append(self, entry: Entry) -> None:
        """Return once the entry is on disk. Entries that arrive meanwhile share one fsync."""
        if entry.key in self.entries:
            raise LedgerError(f"entry {entry.key} is already in {self.path}")
        self.entries[entry.key] = entry
        self.spent += entry.cost
        content = {name: value for name, value in asdict(entry).items() if value != ()}
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((jsonl.encode(content), done))
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
            row = line.row()
            yield Entry(**{**row, "token_ids": tuple(row.get("token_ids", ()))})
        except (ValueError, TypeError, KeyError) as error:
            raise LedgerError(
                f"{line.where} cannot be read ({error}); restore the file from a copy, or delete "
                f"that line to pay for it again"
            ) from error
