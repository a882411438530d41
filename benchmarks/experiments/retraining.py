"""Experiments whose arms are trained: their options, and how they are run.

Base weights and lessons come from a recipe, whose missing steps are run first.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from redraft.benchmarks.experiments.arms import Arm, ArmSettings, MeasuredArm, Tools, measured
from redraft.benchmarks.output.results import Result, publish
from redraft.child_process import python_module
from redraft.server import jsonl
from redraft.server.options import ConfigError, option


@dataclass(frozen=True, kw_only=True)
class RetrainingOptions:
    recipe: str = option("a name or a file: how arms are trained", "workbench")
    made: Path | None = option("what the recipe made; none: runs/RECIPE", None)
    base: Path | None = option("weights every arm starts from; none: MADE/base", None)
    lessons: Path | None = option("none: MADE/lessons/kept.jsonl", None)
    limit: int | None = option("train on the first so many, all arms", None, least=1)
    set: tuple[str, ...] = option(
        "NAME=VALUE: an option of the stage, for all arms: trainer.num_train_epochs=1",
        (),
        repeat=True,
    )
    seed: int = option("of the trainings", 1)
    families: tuple[str, ...] = option("lessons and instructions of these only", ())
    per_family: int = option("held-out instructions of each family", 60, least=1)
    task_seed: int = option("which instructions", 7)
    max_failed: float = option("share of answers that may fail", 0.01)
    arms: Path = option("folder of trained arms, shared", Path("runs/experiments/arms"))
    out: Path = option("folder for the results", Path("runs/experiments"))


Options = TypeVar("Options", bound=RetrainingOptions)
Experiment = Callable[[Options, Tools], Result]


def lesson_settings(options: RetrainingOptions, tools: Tools) -> ArmSettings:
    """Settings of stage-one arms. Runs the recipe up to its lessons if they are missing."""
    made = options.made or Path("runs") / Path(options.recipe).stem
    if not (options.base and options.lessons):
        print(f"{options.recipe}: base model and lessons in {made}", file=sys.stderr, flush=True)
        command = ["run", options.recipe, "--output", str(made), "--until", "filter"]
        tools.run(python_module("redraft.train", *command), options.out / "recipe.log")
    base = options.base or made / "base"
    lessons = options.lessons or made / "lessons" / "kept.jsonl"
    return arm_settings(options, tools, "stage1", base, of_families(options, lessons))


def of_families(options: RetrainingOptions, lessons: Path) -> Path:
    """The file of the lessons; with ``options.families`` a new file of theirs alone."""
    if not options.families:
        return lessons
    path = options.arms / f"{'-'.join(['lessons', *options.families])}.jsonl"
    rows = jsonl.read(lessons)
    jsonl.write(path, (r for r in rows if r.get("meta", {}).get("family") in options.families))
    return path


def arm_settings(
    options: RetrainingOptions, tools: Tools, step: str, start: Path, data: Path
) -> ArmSettings:
    return ArmSettings(
        recipe=options.recipe,
        step=step,
        start=start.resolve(),
        data=data.resolve(),
        takes="lessons" if step == "stage1" else "pairs",
        arms=options.arms.resolve(),
        tools=tools,
        changes=options.set,
        seed=options.seed,
        families=options.families,
        per_family=options.per_family,
        task_seed=options.task_seed,
    )


def size(options: RetrainingOptions, settings: ArmSettings) -> int:
    """The number of lessons or pairs that a full arm is trained on."""
    with settings.data.open("rb") as lines:
        there = sum(1 for _ in lines)
    if options.limit is not None and options.limit > there:
        raise ConfigError(f"--limit {options.limit}: {settings.data} has {there} {settings.takes}")
    if not there:
        raise ConfigError(f"{settings.data} has no {settings.takes}")
    return options.limit or there


def how(options: RetrainingOptions) -> str:
    """One phrase that says how the arms were trained, for notes under tables."""
    changed = f" with {', '.join(options.set)}" if options.set else ""
    families = f", families {', '.join(options.families)} alone" if options.families else ""
    return f"Recipe {Path(options.recipe).stem}{changed}{families}"


def trained(arms: Sequence[Arm], settings: ArmSettings) -> list[MeasuredArm]:
    """Train and measure the arms in turn; a training uses all processors."""
    return [measured(arm, settings) for arm in arms]


def conduct(options: Options, experiment: Experiment[Options], tools: Tools) -> int:
    result = experiment(options, tools)
    publish(result, options.out)
    return 1 if sum(result.failures.values()) > options.max_failed * len(result.samples) else 0
