"""The plan of a recipe: every option checked, tokens, memory, hours and cost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from redraft.server.options import ConfigError
from redraft.train.collector import CollectOptions
from redraft.train.estimate import INSTRUCTION_TOKENS, estimate
from redraft.train.recipe import Recipe, RecipeStep
from redraft.train.sizing import Plan, TrainingSize, shape_of, size
from redraft.train.stages.constraints import ConstraintsOptions
from redraft.train.stages.dpo import DpoOptions
from redraft.train.stages.dpo import trainer_arguments as dpo_arguments
from redraft.train.stages.sft import SftOptions
from redraft.train.stages.sft import trainer_arguments as sft_arguments
from redraft.train.trl_settings import lora_config

CPU_UTILISATION = 0.4  # our measurement: 0.40 and 0.45, an adapter of SmolLM2 on two cores
LONGEST_ON_CPU_H = 1000.0  # more is not meant for one


def show(recipe: Recipe, step: RecipeStep) -> str:
    """What a step of a recipe would do."""
    if step.accelerate:
        _check_accelerate(step.accelerate)
    options, plan, base = step.options, recipe.plan, recipe.base
    if isinstance(options, CollectOptions):
        count = _instructions(recipe, options)
        if count is None:
            return "  collect: all instructions of the data; give a limit for an estimate"
        return estimate(options, count, count * INSTRUCTION_TOKENS)
    if isinstance(options, SftOptions | DpoOptions):
        return _training(options, plan, base)
    return f"  {step.stage}: its options are valid"


def _instructions(recipe: Recipe, options: CollectOptions) -> int | None:
    """How many are drafted for, where the recipe alone decides it. Those that share a draft count
    once."""
    written = {
        each.options.output: -(-each.options.count // each.options.sets)
        for each in recipe.steps
        if isinstance(each.options, ConstraintsOptions)
    }
    if options.limit is not None or not all(file in written for file in options.data):
        return options.limit
    return sum(written[file] for file in options.data)


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
    if on_cpu := _on_this_cpu(needed):
        lines.append(f"  {on_cpu}")
    if not needed.fits(plan):
        lines.append(
            f"  DOES NOT FIT: {needed.memory_gib:.0f} GiB of {plan.gpu_memory_gib}; take more "
            f"GPUs, a smaller per_device_train_batch_size, LoRA, or a shorter max_length"
        )
    return "\n".join(lines)


def _on_this_cpu(needed: TrainingSize) -> str:
    """Where this machine has no GPU and the CPU would do."""
    import torch

    if torch.cuda.is_available():
        return ""
    from redraft.train.cpu_speed import operations_per_second

    speed = operations_per_second()
    hours = needed.operations / (speed * CPU_UTILISATION) / 3600
    if hours > LONGEST_ON_CPU_H:
        return ""
    return (
        f"{hours:.1f} h on this machine's CPU, which computes {speed / 1e9:.0f} G operations a "
        f"second, of which training reaches {CPU_UTILISATION:.0%}"
    )
