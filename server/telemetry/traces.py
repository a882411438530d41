"""The trace store: every finished loop as one line of JSON, for training on production traces.

``redraft train preferences --traces DIR`` reads the files, also those of a running server.

A thread writes the lines, each with one ``write``, so only the last line of a file can be torn. A
written line survives the death of this process. The file is synced to the disk whenever no other
line is waiting; the line then survives a power cut. A file or directory that somebody removed or
moved is made again for the next line.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

from redraft.server import jsonl
from redraft.server.refine.trace import Trace
from redraft.server.refine.trace_json import record_json

MOST_WAITING = 10_000  # lines; limits the memory they take while the disk hangs
_PATTERN = "traces-*.jsonl"
Report = Callable[[bool], None]  # whether one trace was stored
log = logging.getLogger(__name__)


class TraceStore:
    """Append-only; begins a new file when one has ``max_bytes``."""

    def __init__(self, directory: Path | str, *, max_bytes: int = 64 * 1024 * 1024) -> None:
        self.directory = Path(directory)
        self.max_bytes = max_bytes
        self._report: Report = lambda stored: None
        self._failing = False  # the last trace was lost; the next ones are not logged
        self._waiting = 0
        self._lock = Lock()  # guards the number above
        self._make_directory()
        self._number = _last_number(self.directory) or 1
        last = self._path(self._number)
        if last.exists() and jsonl.torn_bytes(last):  # by a crash; a new line would continue it
            self._number += 1
        self._file = self._open(self._number)
        self._writer = ThreadPoolExecutor(1, "trace-store")

    def report_to(self, report: Report) -> None:
        """Call ``report`` for every trace, in the thread that writes."""
        self._report = report

    def append(self, request_id: str, model: str, trace: Trace) -> None:
        """Queue one finished loop; returns at once."""
        with self._lock:
            accepted = self._waiting < MOST_WAITING
            self._waiting += accepted
        if accepted:
            self._writer.submit(self._write, request_id, model, time.time(), trace)
        else:
            self._lost(request_id, "the disk does not keep up")

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
            if self._file.removed:
                self._make_again()
            self._rotate_before(len(line))
            self._file.write(line)
            if idle:
                self._file.sync()
        except OSError as error:
            self._lost(request_id, str(error))
        else:
            self._failing = False
            self._report(True)

    def _lost(self, request_id: str, why: str) -> None:
        self._report(False)
        if not self._failing:
            log.error(
                "trace %s was not stored in %s: %s; more that are lost are counted in "
                "redraft_traces_total, not logged",
                request_id,
                self.directory,
                why,
            )
        self._failing = True

    def _make_again(self) -> None:
        removed = self._file
        self._make_directory()
        self._file = self._open(self._number)  # if it fails, the next line tries again
        removed.close()
        log.warning("%s was removed or moved; traces go to a new file there", removed.path)

    def _make_directory(self) -> None:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)

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
