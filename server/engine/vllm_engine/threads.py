"""How many threads compute on a CPU: one for each core but the one that the server itself needs.

A model as small as the workbench computes fastest in one: a step of its is too short to be shared
out. Also, each step waits for its slowest thread, so there are never more of them than cores.
"""

from __future__ import annotations

import os
from pathlib import Path

from redraft.server.engine.vllm_engine.memory import GROUP
from redraft.server.engine.vllm_engine.settings import MIB, VllmSettings, weight_bytes

SMALL = 64 * MIB  # of weights
MOST = 16  # more are for the operator to try
CPUS = Path("/sys/devices/system/cpu")


def threads_for(settings: VllmSettings) -> int:
    """The default of OMP_NUM_THREADS, for each worker."""
    if weight_bytes(settings.model) < SMALL:
        return 1
    workers = settings.tensor_parallel_size * settings.pipeline_parallel_size
    workers *= settings.data_parallel_size
    return max(1, min(MOST, (free_cores() - 1) // workers))


def free_cores(group: Path = GROUP, cpus: Path = CPUS) -> int:
    """The cores this process may use: threads of one core count once, and a container's limit."""
    if hasattr(os, "sched_getaffinity"):
        allowed = os.sched_getaffinity(0)
    else:
        allowed = set(range(os.cpu_count() or 1))
    cores = len({_siblings(cpus, number) for number in allowed})
    limit = _limit(group / "cpu.max")
    return cores if limit is None else max(1, min(cores, limit))


def _siblings(cpus: Path, number: int) -> str:
    """The same text for all threads of one core."""
    try:
        return (cpus / f"cpu{number}/topology/thread_siblings_list").read_text().strip()
    except OSError:
        return str(number)


def _limit(file: Path) -> int | None:
    """Whole cores that a container may use; None where it may use all."""
    try:
        quota, period = file.read_text().split()
        return int(quota) // int(period)
    except (OSError, ValueError):
        return None
