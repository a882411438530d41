"""Stages of training and measuring, each a process of its own: run to its end, stopped with us.

Their output goes to a log; a stage that fails is told with the end of it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

STOP_S = 60.0  # a server drains
Run = Callable[[Sequence[str], Path], None]  # arguments of Python, and where the log is


class StageFailed(Exception):
    """A stage ended with an error; the message says which, and what it said last."""


def to_the_end(arguments: Sequence[str], log: Path) -> None:
    """``python ARGUMENTS``. A stage goes on where it was stopped, when it is run again."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        # A session of its own: what it has started is stopped with it.
        process = subprocess.Popen(
            [sys.executable, *arguments],
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = process.wait()
        finally:
            _stop(process)
    if code:
        last = log.read_text(encoding="utf-8", errors="replace")[-800:]
        raise StageFailed(
            f"'python {' '.join(arguments[:4])} ...' ended with status {code}; {log} ends:\n{last}"
        )


def _stop(process: subprocess.Popen[bytes]) -> None:
    for asked in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        os.killpg(process.pid, asked)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            continue
