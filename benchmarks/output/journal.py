"""An append-only journal of finished work, so that nothing is done or paid for twice.

A record is on disk before the next piece of work is counted as done; a torn last line, left by a
kill, is removed and its work done again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from redraft.server import jsonl

Record = dict[str, Any]


class Journal:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.records: dict[str, Record] = {}

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = jsonl.Appender(self.path)
        self._file.repair()
        self.records = {record["key"]: record for record in jsonl.read(self.path)}
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def add(self, key: str, record: Record) -> None:
        self.records[key] = {"key": key, **record}
        self._file.append(self.records[key])
