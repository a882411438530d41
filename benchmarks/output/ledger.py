"""An append-only record of finished work: what is in it is never done, or paid for, twice.

One JSON object per line. A line is on disk before the next piece of work is counted as done; a
half-written last line, left by a kill, is dropped and done again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

Record = dict[str, Any]


class Ledger:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.records: dict[str, Record] = {}
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("a+b")
        whole = 0
        self._file.seek(0)
        for line in self._file:
            if not line.endswith(b"\n"):
                break
            record = json.loads(line)
            self.records[record["key"]] = record
            whole += len(line)
        self._file.truncate(whole)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file:
            self._file.close()

    def __contains__(self, key: str) -> bool:
        return key in self.records

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records.values())

    def add(self, key: str, record: Record) -> None:
        assert self._file, "a ledger is written inside its with block"
        self.records[key] = {"key": key, **record}
        self._file.write(json.dumps(self.records[key], ensure_ascii=False).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
