"""A fetch takes long: it says how far it is, and it can be stopped."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


class FetchingStopped(Exception):
    """Nobody waits for the result any more."""


@dataclass(frozen=True)
class Fetching:
    say: Callable[[str], None]  # takes a line of progress
    stopped: threading.Event = field(default_factory=threading.Event)

    def check(self) -> None:
        """To be called often: raises FetchingStopped when it shall end."""
        if self.stopped.is_set():
            raise FetchingStopped


async def in_thread(work: Callable[[Fetching], T], say: Callable[[str], None]) -> T:
    """The result of ``work``, which is stopped when the caller is cancelled."""
    fetching = Fetching(say)
    try:
        return await asyncio.to_thread(work, fetching)
    finally:
        fetching.stopped.set()


def free_disk(folder: Path) -> int:
    """The bytes that are free for a folder, which need not exist yet."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def size(num_bytes: float) -> str:
    """A number of bytes as people read it."""
    for unit in ("bytes", "kB", "MB"):
        if num_bytes < 999.5:
            return f"{num_bytes:.0f} {unit}"
        num_bytes /= 1000
    return f"{num_bytes:.1f} GB"
