"""The number format of a model on a CPU: 32 bits where the processor has no instructions for 16.

Without them bfloat16 is the slower one, most of all in large batches: docs/models.md has figures.
32 bits take twice the memory, which is theirs only where it is plentiful.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from redraft.server.engine.vllm_engine import memory
from redraft.server.engine.vllm_engine.processor import slow_in_16_bits
from redraft.server.engine.vllm_engine.settings import VllmSettings

SHARE_OF_FREE = 2  # what the weights may take of the free memory in 32 bits: a half


def suited(settings: VllmSettings) -> VllmSettings:
    """With the format that suits this CPU, where the operator named none."""
    if settings.dtype != "auto" or not slow_in_16_bits():
        return settings
    wide = replace(settings, dtype=memory.WIDE)
    config = memory.read_config(settings.model)
    if "quantization_config" in config or not _holds_a_window(wide, config):
        return settings
    if memory.loaded_bytes(wide) > memory.available_bytes() // SHARE_OF_FREE:
        return settings
    return wide


def _holds_a_window(settings: VllmSettings, config: Mapping[str, Any]) -> bool:
    """Whether the cache, where the operator chose its size, does."""
    per_token = memory.kv_bytes_per_token(config, settings.dtype)
    if settings.kv_cache_memory_bytes is None or per_token is None:
        return True
    window = settings.max_model_len or memory.window_of(config)
    return settings.kv_cache_memory_bytes >= memory.window_bytes(
        per_token, window, settings.block_size
    )
