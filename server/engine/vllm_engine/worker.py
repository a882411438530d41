"""Our code in vLLM's worker processes, which import it by name.

On x86 processors with AMX the attention kernels use its tiles, which Linux permits to a process
only on request; vLLM 0.32 does not request them and dies of an illegal instruction at the first
token. The request is harmless on processors without AMX.
"""

from __future__ import annotations

import os
from typing import Any

import torch
import torch._dynamo.config
from vllm.platforms import current_platform

from redraft.server.engine.vllm_engine import forking


def allow_amx_tiles() -> None:
    if torch.cpu._is_amx_tile_supported():
        torch.cpu._init_amx()


allow_amx_tiles()
if os.environ.get("TORCH_COMPILE_DISABLE") == "1":
    # torch reads it once, at its import, which may have been before ``start`` set it.
    torch._dynamo.config.disable = True


class WorkerExtension:
    """Named in ``--worker-extension-cls``: its methods can be called in each worker's process."""

    model_runner: Any  # the worker's own

    def show_output(self) -> None:
        forking.show_output()

    def quicken(self) -> None:
        """On a CPU, replace what vLLM does slowly there."""
        if current_platform.is_cpu():
            from redraft.server.engine.vllm_engine import adapters_on_cpu, nucleus_on_cpu

            adapters_on_cpu.install()
            nucleus_on_cpu.install()

    def speculate(self, predictions: str, end: int | None) -> None:
        """Begin to guess texts from predictions, which come by this name, where vLLM was started
        for it. ``end``: the token that ends a text."""
        from redraft.server.engine.vllm_engine.speculation import DraftProposer

        proposer = getattr(self.model_runner, "drafter", None)  # the last pipeline stage has it
        if isinstance(proposer, DraftProposer):
            proposer.begin(self.model_runner, predictions, end)
