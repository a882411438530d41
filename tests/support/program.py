"""Runs `python -m redraft.server` as its users do, for tests about the program itself.

with running("--engine", "scripted") as program:
    httpx.get(program.url + "/health")
    program.signal(signal.SIGTERM)
    assert program.wait() == 0
"""

from __future__ import annotations

import os
import queue
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
START_S = STOP_S = 300  # far more than either takes


class Program:
    """A started server. Its output is read all along, so that it never waits for us."""

    def __init__(self, arguments: tuple[str, ...], environ: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "redraft.server", "--port", "0", *arguments],
            cwd=ROOT,
            env={**os.environ, **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # a process group of its own, as a terminal's job has
        )
        self.output = ""
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def until(self, pattern: str) -> re.Match[str]:
        """Wait for a line of output."""
        while True:
            line = self._lines.get(timeout=START_S)
            assert line is not None, f"ended without {pattern!r}:\n{self.output}"
            if found := re.search(pattern, line):
                return found

    @property
    def url(self) -> str:
        if not hasattr(self, "_url"):
            self._url = self.until(r"page +(http://\S+)/")[1]
        return self._url

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def signal_group(self, number: int) -> None:
        """As Ctrl-C in a terminal does: to the server and whatever it started."""
        os.killpg(self.process.pid, number)

    def wait(self) -> int:
        code = self.process.wait(STOP_S)
        self._reader.join(STOP_S)
        return code

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.output += line
            self._lines.put(line)
        self._lines.put(None)


@contextmanager
def running(*arguments: str, **environ: str) -> Iterator[Program]:
    program = Program(arguments, environ)
    try:
        yield program
    finally:
        if program.process.poll() is None:
            program.signal_group(signal.SIGKILL)
        program.wait()
        assert program.process.stdout
        program.process.stdout.close()
