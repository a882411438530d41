"""Forks the engine's process without what it must not inherit.

A forked child keeps every open file: a client's connection would stay open after the server
closed it, and the port would stay taken after the server died. A signal sent to the child would
wake the server's event loop. The child would outlive a killed server. And Ctrl-C and a service
manager's SIGTERM reach the child too, which has to survive them for running loops to finish.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import re
import signal
import socket
import stat
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

from redraft.server.engine.base import EngineError

START_TIMEOUT_S = 600.0  # enough for large weights from a slow disk
_INTERNET = (socket.AF_INET, socket.AF_INET6)
_OURS_TO_HANDLE = {signal.SIGINT, signal.SIGTERM}
_PR_SET_PDEATHSIG = 1  # from linux/prctl.h
_libc = ctypes.CDLL(None)  # loaded before any fork
# The last line vLLM logs when it fails: "... ERROR ... [core.py:1] ValueError: the problem".
_LAST_ERROR = re.compile(r"^(?:\(.*\] )?[\w.]*(?:Error|Exception): (.+)$", re.MULTILINE)


@dataclass
class _Forking:
    """Read by the child right after the fork. There is one start at a time."""

    engine: bool = False  # the next process forked is the engine's
    log: int | None = None  # the file its output goes to while it starts
    terminal: tuple[tuple[int, int], ...] = ()  # in the child: (redirected, original) descriptors


_forking = _Forking()


@contextlib.contextmanager
def engine_process(*, capture: bool) -> Iterator[set[BaseProcess]]:
    """Start the engine's process in this block; yields a set that has it afterwards. With
    ``capture`` its output goes to a log file until ``show_output`` is called in it; if it does not
    start, the file is kept and the error has its last line."""
    others = set(multiprocessing.active_children())
    # The child of a process with threads may deadlock on a lock that one of them held.
    watchdog = threading.Timer(START_TIMEOUT_S, _kill_children_but, (others,))
    watchdog.daemon = True
    watchdog.start()
    with (
        deaf_children(),
        tempfile.NamedTemporaryFile(prefix="redraft-engine-", suffix=".log", delete=False) as log,
    ):
        _forking.engine, _forking.log = True, log.fileno() if capture else None
        started: set[BaseProcess] = set()
        try:
            yield started
        except Exception as error:  # vLLM's log has the cause, its exception seldom does
            logged = _LAST_ERROR.findall(Path(log.name).read_text(errors="replace"))
            if not logged:
                raise
            raise EngineError(f"{logged[-1]} (more in {log.name})") from error
        else:
            started |= set(multiprocessing.active_children()) - others
            Path(log.name).unlink()
        finally:
            watchdog.cancel()
            _forking.engine, _forking.log = False, None


@contextlib.contextmanager
def deaf_children() -> Iterator[None]:
    """A child that this thread forks here never gets SIGINT and SIGTERM. One that got them before
    ``leave_server`` would pass them on to the server's event loop: a second SIGINT, which ends the
    server at once."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _OURS_TO_HANDLE)  # inherited
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _kill_children_but(others: set[BaseProcess]) -> None:
    for child in set(multiprocessing.active_children()) - others:
        child.kill()


def show_output() -> None:
    """Called in the engine's process when it has started: end the redirection of its output."""
    for fd, original in _forking.terminal:
        os.dup2(original, fd)
        os.close(original)
    _forking.terminal = ()


def _in_forked_child() -> None:
    if not _forking.engine:
        return
    leave_server()
    if _forking.log is not None:
        _redirect_output(_forking.log)


def leave_server() -> None:
    """In a forked child: have nothing to do with the server's connections and signals, and end when
    it ends."""
    if sys.platform == "linux":
        # "Parent" means the forking thread; asyncio keeps that thread until its loop is closed.
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.set_wakeup_fd(-1)
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the listing's own descriptor is closed by now
            _close_connection(int(name))


def _redirect_output(log: int) -> None:
    outputs = {1, 2}
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # it may be no file at all
            outputs.add(stream.fileno())  # under pytest it is neither 1 nor 2
    _forking.terminal = tuple((fd, os.dup(fd)) for fd in outputs)
    for fd in outputs:
        os.dup2(log, fd)


def _close_connection(fd: int) -> None:
    if not stat.S_ISSOCK(os.fstat(fd).st_mode):
        return
    duplicate = socket.socket(fileno=os.dup(fd))
    with duplicate:
        if duplicate.family in _INTERNET:
            os.close(fd)


os.register_at_fork(after_in_child=_in_forked_child)
