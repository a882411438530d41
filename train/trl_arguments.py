"""What both stages tell TRL where the recipe does not say otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from redraft.server.options import ConfigError


def defaults(output: str, seed: int, whole_weights: bool) -> dict[str, Any]:
    """``whole_weights``: all of them are trained, not an adapter."""
    import torch

    on_gpu = torch.cuda.is_available()
    ours: dict[str, Any] = {
        "output_dir": output,
        "max_length": None,  # rows were checked; TRL must not cut any
        "save_total_limit": 2,  # two: a kill while the newest is written must leave one
        "report_to": "tensorboard",
        "bf16": on_gpu,
        "use_cpu": not on_gpu,
        "gradient_checkpointing": False,
        "ddp_find_unused_parameters": False,  # there are none, and looking costs time
        "dataloader_pin_memory": on_gpu,
        "seed": seed,
        "data_seed": seed,
    }
    if whole_weights:
        # Weights of a full fine-tune are kept in 32 bits: updates of 1e-5 vanish in bfloat16.
        ours["model_init_kwargs"] = {"dtype": "float32"}
    return ours


def arguments(config: type, ours: Mapping[str, Any], given: Mapping[str, Any]) -> Any:
    """TRL's config class, made: its own checks apply, and what it does not know is an error."""
    try:
        return config(**{**ours, **given})
    except TypeError as error:
        raise ConfigError(f"trainer: {error}; see TRL's {config.__name__} for the names") from error
