"""Processor time and memory of the servers that are measured."""

from __future__ import annotations

import math
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil

_SIZE = re.compile(r"^(\w+):\s+(\d+) kB$", re.MULTILINE)
ENGINE_MIB = 64  # a child that holds less is no engine


@dataclass(frozen=True, slots=True)
class Cpu:
    """Seconds of processor time."""

    total_s: float  # the engines' processes included
    servers_s: float  # of the processes that speak HTTP alone

    def since(self, before: Cpu) -> Cpu:
        return Cpu(self.total_s - before.total_s, self.servers_s - before.servers_s)


@dataclass(frozen=True, slots=True)
class Footprint:
    """What one process holds: its own memory, without the pages of files, and descriptors. Memory
    that it shares with its parent since a fork counts whole, so that the end of one process does
    not change what another seems to hold."""

    memory_bytes: int
    descriptors: int


@dataclass(frozen=True, slots=True)
class Running:
    """A server under measurement. ``pids``: it and the servers it stands on, if started here."""

    url: str  # as OpenAI clients take it
    pids: tuple[int, ...] = ()

    def cpu(self) -> Cpu:
        """Processor time used so far; NaN for a server that was not started here."""
        if not self.pids:
            return Cpu(math.nan, math.nan)
        servers = sum(map(_cpu_s, self._servers()))
        return Cpu(servers + sum(map(_cpu_s, self._children())), servers)

    def footprints(self) -> dict[str, Footprint]:
        """Of the server's process and, where there is one, of its engine's, by their roles."""
        import psutil

        roles = {"server": self.pids[0], "engine": self.engine()}
        found = {}
        for role, pid in roles.items():
            with suppress(psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
                if pid is not None:
                    process = psutil.Process(pid)
                    found[role] = Footprint(_anonymous(process), process.num_fds())
        return found

    def engine(self) -> int | None:
        """The process of its engine: the largest child, if that is large."""
        import psutil

        sizes = {}
        for child in self._children():
            with suppress(psutil.NoSuchProcess):
                sizes[child.pid] = child.memory_info().rss
        largest = max(sizes, key=lambda pid: sizes[pid], default=None)
        return largest if largest and sizes[largest] > ENGINE_MIB << 20 else None

    def _servers(self) -> list[psutil.Process]:
        import psutil

        return [psutil.Process(pid) for pid in self.pids]

    def _children(self) -> list[psutil.Process]:
        return [child for server in self._servers() for child in server.children(recursive=True)]


def _anonymous(process: psutil.Process) -> int:
    import psutil

    if not psutil.LINUX:
        return int(process.memory_full_info().uss)
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii", errors="replace")
    kilobytes = {name: int(size) for name, size in _SIZE.findall(status)}
    return 1024 * (kilobytes.get("RssAnon", 0) + kilobytes.get("RssShmem", 0))


def _cpu_s(process: psutil.Process) -> float:
    import psutil

    with suppress(psutil.NoSuchProcess):  # ended since the list was made
        times = process.cpu_times()
        return float(times.user + times.system)
    return 0.0
