"""Programs that a measurement starts, and stops again when it ends.

    with served("redraft", python_module("redraft.server"), "/ready", logs) as running: ...
    run_to_end(python_module("redraft.train", "run", "workbench"), log)

Each runs in a session of its own, so that what it has started is stopped with it and Ctrl-C
reaches only the measurement. Its output goes to a log; a failure quotes the end of it.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from redraft.benchmarks.commands.errors import MeasurementFailed
from redraft.benchmarks.load.usage import Running
from redraft.child_process import environment

# Starting takes seconds, and minutes where others keep the processors busy.
START_S, STOP_S = 1200.0, 60.0
QUOTED = 800  # characters of a log
Run = Callable[[Sequence[str], Path], None]  # a command line, and where its log is


class ProgramFailed(MeasurementFailed):
    """A program that a measurement needs did not come up or did not succeed."""


@contextmanager
def served(
    name: str,
    command: Sequence[str],
    ready: str,
    logs: Path,
    variables: Mapping[str, str] | None = None,
) -> Iterator[Running]:
    """A server on a free port, from when it answers at the path ``ready``."""
    port, log = _free_port(), logs / f"{name}.log"
    log.unlink(missing_ok=True)
    process = _start([*command, "--port", str(port)], log, variables or {})
    try:
        _wait_until_ready(name, process, f"http://127.0.0.1:{port}{ready}", log)
        yield Running(f"http://127.0.0.1:{port}/v1", (process.pid,))
    finally:
        _stop(process)


def run_to_end(command: Sequence[str], log: Path) -> None:
    """Return when the program has succeeded; ProgramFailed when it has not."""
    process = _start(command, log, {})
    try:
        code = process.wait()
    finally:
        _stop(process)
    if code:
        shown = " ".join(command[:6])
        raise ProgramFailed(f"'{shown} ...' ended with status {code}; {_end_of(log)}")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _start(
    command: Sequence[str], log: Path, variables: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**environment(), **variables},
            start_new_session=True,
        )


def _wait_until_ready(name: str, process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        if process.poll() is not None:
            raise ProgramFailed(f"{name} ended with status {process.returncode}; {_end_of(log)}")
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)  # not up yet
    raise ProgramFailed(f"{name} was not ready after {START_S:g} s; see {log}")


def _end_of(log: Path) -> str:
    return f"{log} ends:\n{log.read_text(encoding='utf-8', errors='replace')[-QUOTED:]}"


def _stop(process: subprocess.Popen[bytes]) -> None:
    for signal_number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        os.killpg(process.pid, signal_number)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            continue
