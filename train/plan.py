"""The plan of a recipe: every option checked, tokens, memory, hours and cost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from redraft.server.options import ConfigError
from redraft.train.collector import CollectOptions
from redraft.train.estimate import INSTRUCTION_TOKENS, estimate
from redraft.train.recipe import RecipeStep
from redraft.train.sizing import Plan, shape_of, size
from redraft.train.stages.dpo import DpoOptions
from redraft.train.stages.dpo import trainer_arguments as dpo_arguments
from redraft.train.stages.sft import SftOptions
from redraft.train.stages.sft import trainer_arguments as sft_arguments
from redraft.train.trl_settings import lora_config


def show(step: RecipeStep, plan: Plan, base: str) -> str:
    """What a step would do; ``base`` is the model all weights of the recipe come from."""
    if step.accelerate:
        _check_accelerate(step.accelerate)
    options = step.options
    if isinstance(options, CollectOptions):
        if options.limit is None:
            return "  collect: all instructions of the data; give a limit for an estimate"
        return estimate(options, options.limit, options.limit * INSTRUCTION_TOKENS)
    if isinstance(options, SftOptions | DpoOptions):
        return _training(options, plan, base)
    return f"  {step.stage}: its options are valid"


def _check_accelerate(file: Path) -> None:
    from accelerate.commands.config.config_args import load_config_from_file

    try:
        load_config_from_file(str(file))
    except (ValueError, TypeError) as error:
        raise ConfigError(f"accelerate does not take {file}: {error}") from error


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
    needed = size(
        shape, plan, arguments, pairs=pairs, lora=options.lora, quantized=options.quantize == "4bit"
    )
    lines = [
        f"  {type(arguments).__name__} takes every argument; {shape.parameters / 1e9:.1f} B "
        f"parameters of {Path(base).name} on {plan.gpus} GPU of {plan.gpu_memory_gib} GiB",
        f"  {needed}",
    ]
    if not needed.fits(plan):
        lines.append(
            f"  DOES NOT FIT: {needed.memory_gib:.0f} GiB of {plan.gpu_memory_gib}; take more "
            f"GPUs, a smaller per_device_train_batch_size, LoRA, or a shorter max_length"
        )
    return "\n".join(lines)
