"""The number format of a model on a CPU: 32 bits where the processor has no instructions for 16.

Without them a product of matrices in bfloat16 takes three to seven times as long as one in 32 bits
(docs/models.md), and 32 bits take twice the memory, which is theirs only where it is plentiful.
"""

from __future__ import annotations

import functools
import platform
from dataclasses import replace

from redraft.server.engine.vllm_engine import memory
from redraft.server.engine.vllm_engine.settings import VllmSettings

SHARE_OF_FREE = 2  # what the weights may take of the free memory in 32 bits: a half


def suited(settings: VllmSettings) -> VllmSettings:
    """With the format that suits this CPU, where the operator named none."""
    if settings.dtype != "auto" or not slow_in_16_bits():
        return settings
    wide = replace(settings, dtype=memory.WIDE)
    quantized = "quantization_config" in memory.read_config(settings.model)
    if quantized or memory.loaded_bytes(wide) > memory.available_bytes() // SHARE_OF_FREE:
        return settings
    return wide


@functools.cache
def slow_in_16_bits() -> bool:
    """Whether this processor is known to lack instructions for bfloat16."""
    if platform.machine() not in ("x86_64", "AMD64"):
        return False
    import torch  # here, as it takes a second

    has = torch.cpu.get_capabilities()
    return not (has.get("avx512_bf16") or has.get("amx_bf16"))
