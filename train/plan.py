"""The plan of a recipe: every option checked by those who will read it, tokens, memory, money."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from redraft.server.options import ConfigError, build
from redraft.train import estimate
from redraft.train.sizing import Plan, shape_of, size
from redraft.train.stages import options_of
from redraft.train.stages.collect import CollectOptions
from redraft.train.stages.dpo import DpoOptions
from redraft.train.stages.dpo import trainer_arguments as dpo_arguments
from redraft.train.stages.sft import SftOptions, lora_config
from redraft.train.stages.sft import trainer_arguments as sft_arguments


def show(
    stage: str, given: Mapping[str, Any], plan: Plan, base: str, accelerate: str | None
) -> str:
    """What a step would do; ``base`` is the model all weights of the recipe come from."""
    if accelerate:
        _check_accelerate(accelerate)
    options = build(options_of(stage), given, stage)
    if isinstance(options, CollectOptions):
        return _collect(options)
    if isinstance(options, SftOptions | DpoOptions):
        return _training(options, plan, base)
    return f"  {stage}: options are right"


def _check_accelerate(file: str) -> None:
    from accelerate.commands.config.config_args import load_config_from_file

    try:
        load_config_from_file(file)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"accelerate does not take {file}: {error}") from error


def _collect(options: CollectOptions) -> str:
    if options.limit is None:
        return "  collect: all instructions of the data; give a limit for an estimate"
    count = options.limit * options.drafts
    lines = estimate.planned(options, count, count * estimate.INSTRUCTION_TOKENS)
    return estimate.table(lines)


def _training(options: SftOptions | DpoOptions, plan: Plan, base: str) -> str:
    # Built where there may be no GPU: what needs one is left out, everything else is checked.
    here = replace(options, trainer={**options.trainer, "use_cpu": True, "bf16": False})
    pairs = isinstance(here, DpoOptions)
    arguments = dpo_arguments(here) if isinstance(here, DpoOptions) else sft_arguments(here)
    if options.lora:
        lora_config(options.lora)
    if not base:
        return f"  {type(arguments).__name__} takes every argument; no base model to size"
    shape = shape_of(base)
    # What the data may be as long as decides the memory; the mean length, time and money.
    arguments.max_length = options.max_length
    found = size(
        shape,
        plan,
        arguments,
        pairs=pairs,
        lora=options.lora,
        quantized=options.quantize == "4bit",
    )
    lines = [
        f"  {type(arguments).__name__} takes every argument; {shape.parameters / 1e9:.1f} B "
        f"parameters of {Path(base).name} on {plan.gpus} GPU of {plan.gpu_memory_gib} GiB",
        f"  {found}",
    ]
    if not found.fits(plan):
        lines.append(
            f"  DOES NOT FIT: {found.memory_gib:.0f} GiB of {plan.gpu_memory_gib}; take more GPUs, "
            f"a smaller per_device_train_batch_size, LoRA, or a shorter max_length"
        )
    return "\n".join(lines)
