"""The trace store: every finished loop as one line of JSON, for training on production traces.

``redraft train preferences --traces DIR`` reads the files, also those of a running server.

A thread writes the lines, each with one ``write``, so only the last line of a file can be torn. A
written line survives the death of this process. The file is synced to the disk whenever no other
line is waiting; the line then survives a power cut.
"""

from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

from redraft.server import jsonl
from redraft.server.refine.trace import Trace
from redraft.server.refine.trace_json import record_json

MOST_WAITING = 10_000  # lines; limits the memory they take while the disk hangs
_PATTERN = "traces-*.jsonl"
log = logging.getLogger(__name__)


class TraceStore:
    """Append-only; begins a new file when one has ``max_bytes``."""

    def __init__(self, directory: Path | str, *, max_bytes: int = 64 * 1024 * 1024) -> None:
        self.directory = Path(directory)
        self.max_bytes = max_bytes
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.lost = 0  # traces that could not be written; each is logged
        self._waiting = 0
        self._lock = Lock()  # guards the two numbers above
        self._number = _last_number(self.directory) or 1
        last = self._path(self._number)
        if last.exists() and jsonl.torn_bytes(last):  # by a crash; a new line would continue it
            self._number += 1
        self._file = self._open(self._number)
        self._writer = ThreadPoolExecutor(1, "trace-store")

    def append(self, request_id: str, model: str, trace: Trace) -> None:
        """Queue one finished loop; returns at once."""
        with self._lock:
            accepted = self._waiting < MOST_WAITING
            self._waiting += accepted
            self.lost += not accepted
        if accepted:
            self._writer.submit(self._write, request_id, model, time.time(), trace)
        else:
            log.error("trace %s was not stored: the disk does not keep up", request_id)

    def flush(self) -> None:
        """Wait until all queued lines are written."""
        self._writer.submit(lambda: None).result()

    def close(self) -> None:
        """Write the queued lines and close the file. No loop may run any more."""
        self._writer.shutdown()
        self._file.close()

    def _write(self, request_id: str, model: str, ended: float, trace: Trace) -> None:
        line = _line(request_id, model, ended, trace)
        with self._lock:
            self._waiting -= 1
            idle = not self._waiting
        try:
            self._rotate_before(len(line))
            self._file.write(line)
            if idle:
                self._file.sync()
        except OSError as error:
            with self._lock:
                self.lost += 1
            log.error("trace %s was not stored in %s: %s", request_id, self.directory, error)

    def _rotate_before(self, coming: int) -> None:
        size = self._file.size
        if size and size + coming > self.max_bytes:
            self._next_file()

    def _next_file(self) -> None:
        full = self._file
        self._file = self._open(self._number + 1)  # if it fails, nothing has changed
        self._number += 1
        full.sync()
        full.close()

    def _open(self, number: int) -> jsonl.Appender:
        # Readable by the owner alone: the lines hold what users wrote.
        return jsonl.Appender(self._path(number), mode=0o600)

    def _path(self, number: int) -> Path:
        return self.directory / f"traces-{number:06d}.jsonl"


def _line(request_id: str, model: str, ended: float, trace: Trace) -> bytes:
    about = {"id": request_id, "time": round(ended, 3), "model": model}
    return jsonl.encode(about | record_json(trace))


def _last_number(directory: Path) -> int:
    numbers = (path.stem.removeprefix("traces-") for path in directory.glob(_PATTERN))
    return max((int(number) for number in numbers if number.isdecimal()), default=0)
