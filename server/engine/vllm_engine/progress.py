"""Progress: whether a running engine still gives output, and the end of one that does not.

A process that is stopped or stuck answers nothing and does not die, so nothing else notices it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from multiprocessing.process import BaseProcess
from typing import Any

from vllm.v1.metrics.loggers import StatLoggerBase

LOOKS = 4  # at the number of outputs, in the time that counts as a stall


class Progress:
    """Counts the outputs of one engine."""

    def __init__(self) -> None:
        self.outputs = 0

    def logger(self, vllm_config: Any, engine_index: int = 0) -> StatLoggerBase:
        """What vLLM calls for every output, of a completion or of one in direct mode."""
        return _OutputCounter(self)

    async def stalled(self, engine: Any, stall_s: float) -> None:
        """Return when requests have run for ``stall_s`` without any output."""
        seen, looks = -1, 0
        while looks < LOOKS:
            await asyncio.sleep(stall_s / LOOKS)
            progressed = self.outputs != seen or not engine.num_unfinished()
            seen, looks = self.outputs, 0 if progressed else looks + 1


class _OutputCounter(StatLoggerBase):  # type: ignore[misc, unused-ignore]  # vLLM may be missing
    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def record(self, *args: Any, **kwargs: Any) -> None:
        self._progress.outputs += 1

    def log_engine_initialized(self) -> None:
        pass


def kill(processes: Iterable[BaseProcess]) -> None:
    """End the processes and their children at once; a stopped process ends by nothing less."""
    import psutil  # a dependency of vLLM

    for process in processes:
        try:
            family = psutil.Process(process.pid)
            family = [*family.children(recursive=True), family]
        except psutil.NoSuchProcess:
            continue
        for member in family:
            try:
                member.kill()
            except psutil.NoSuchProcess:
                continue
