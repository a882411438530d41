"""The memory of a CPU: what is free, and how much of it the KV cache takes by default.

By default the cache holds 1,024 tokens for each of ``max_num_seqs`` completions, but takes no more
than a quarter of what the weights leave free. It is never smaller than one full window, without
which vLLM does not start, nor than 256 MiB.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from redraft.server.engine.vllm_engine.settings import MIB, VllmSettings, weight_bytes

BLOCK_SIZE = 32  # so that short prefixes are cached too; vLLM's CPU kernels take its multiples
LEAST_KV_BYTES = 256 * MIB
TOKENS_PER_COMPLETION = 1024
SHARE_OF_FREE = 4
WIDE = "float32"
GROUP = Path("/sys/fs/cgroup")
# Attention of these kinds keeps something else than keys and values of every token.
UNUSUAL = ("kv_lora_rank", "mamba_d_state", "linear_num_key_heads", "ssm_state_size")


def default_kv_bytes(settings: VllmSettings) -> int:
    """The size of the cache where the operator gave none."""
    free = max(0, available_bytes() - loaded_bytes(settings)) // settings.data_parallel_size
    share = free // SHARE_OF_FREE
    config = read_config(settings.model)
    if not (per_token := kv_bytes_per_token(config, settings.dtype)):
        return max(LEAST_KV_BYTES, share)
    wanted = TOKENS_PER_COMPLETION * settings.max_num_seqs * per_token
    one = window_bytes(per_token, settings.max_model_len or window_of(config), settings.block_size)
    return max(LEAST_KV_BYTES, one, min(wanted, share))


def loaded_bytes(settings: VllmSettings, to_come: int = 0) -> int:
    """What the weights, with those ``to_come``, take when they are loaded: as much as in their
    files, where the settings do not say otherwise."""
    in_files = weight_bytes(settings.model) + to_come
    config = read_config(settings.model)
    halved = (config.get("dtype") or config.get("torch_dtype")) in ("bfloat16", "float16")
    return in_files * 2 if settings.dtype == WIDE and halved else in_files


def window_bytes(per_token: int, window: int, block_size: int | None = None) -> int:
    """The cache of one full window. One block more: vLLM reserves one."""
    block = block_size or BLOCK_SIZE
    return (-(-window // block) + 1) * block * per_token


def kv_bytes_per_token(config: Mapping[str, Any], dtype: str = "auto") -> int | None:
    """Of a model with this config.json, in 16 bits or, where it is served so, in 32; None where its
    attention is of another kind."""
    text = config.get("text_config") or config
    heads = text.get("num_attention_heads")
    hidden, layers = text.get("hidden_size"), text.get("num_hidden_layers")
    if not (heads and hidden and layers) or any(text.get(name) for name in UNUSUAL):
        return None
    of_values = text.get("num_key_value_heads") or heads
    numbers = 2 * layers * of_values * (text.get("head_dim") or hidden // heads)
    return int(numbers * (4 if dtype == WIDE else 2))


def window_of(config: Mapping[str, Any]) -> int:
    """The window a model was made for; 0 where its config.json does not say."""
    text = config.get("text_config") or config
    return int(text.get("max_position_embeddings") or 0)


def read_config(model: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((model / "config.json").read_text(encoding="utf-8"))
    return content


def whole_bytes(group: Path = GROUP) -> int:
    """The memory of the machine, or what its container may take of it."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = _number(group / "memory.max")
    return machine if limit is None else min(machine, limit)


def available_bytes(group: Path = GROUP) -> int:
    """What this process may still take: of the machine, and of its container."""
    meminfo = Path("/proc/meminfo")
    if meminfo.is_file():
        fields = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
        machine = int(fields["MemAvailable"].split()[0]) * 1024
    else:
        machine = whole_bytes(group)
    limit, used = _number(group / "memory.max"), _number(group / "memory.current")
    return machine if limit is None or used is None else min(machine, max(0, limit - used))


def _number(file: Path) -> int | None:
    """None where there is no such file, or it says that there is no limit."""
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None
