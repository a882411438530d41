"""What vLLM's worker processes need on some processors: imported in each of them by name.

On x86 processors with AMX the attention kernels use its tiles, which Linux allows a process
only after it has asked; vLLM 0.32 does not ask and dies of an illegal instruction at the first
token. Asking is harmless where the processor has none.
"""

from __future__ import annotations

import torch

from server.engine.vllm_engine import forking


def allow_amx_tiles() -> None:
    if torch.cpu._is_amx_tile_supported():
        torch.cpu._init_amx()


allow_amx_tiles()


class WorkerExtension:
    """Named in ``--worker-extension-cls``: its methods can be called in each worker's process."""

    def show_output(self) -> None:
        forking.show_output()
