"""Retraining: the options of experiments whose every arm is a training, and how they are run.

Weights and lessons are what a recipe makes; steps of it that are not done yet are run first.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from redraft.benchmarks.experiments.arms import Arm, Measured, Shop, Tools, measured
from redraft.benchmarks.load.programs import module_command
from redraft.benchmarks.output.results import Result, publish
from redraft.server import jsonl
from redraft.server.options import ConfigError

Experiment = Callable[[argparse.Namespace, Tools], Result]


def parser(name: str, about: str | None) -> argparse.ArgumentParser:
    """An experiment's options; it adds its own."""
    top = argparse.ArgumentParser(
        prog=f"redraft bench experiments {name}",
        description=about,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--recipe", default="workbench", help="a name or a file: how arms are trained")
    top.add_argument("--made", type=Path, help="what the recipe made [runs/RECIPE]")
    top.add_argument("--base", type=Path, help="weights every arm starts from [MADE/base]")
    top.add_argument("--lessons", type=Path, help="[MADE/lessons/kept.jsonl]")
    top.add_argument("--limit", type=int, help="train on the first so many, all arms")
    top.add_argument(
        "--set",
        action="append",
        default=[],
        dest="changes",
        metavar="NAME=VALUE",
        help="an option of the stage, for all arms: trainer.num_train_epochs=1",
    )
    top.add_argument("--seed", type=int, default=1, help="of the trainings")
    top.add_argument("--families", nargs="+", default=[], help="lessons and instructions of these")
    top.add_argument("--per-family", type=int, default=60, help="held-out instructions")
    top.add_argument("--task-seed", type=int, default=7, help="which instructions")
    top.add_argument("--max-failed", type=float, default=0.01, help="share of answers")
    top.add_argument("--arms", type=Path, default=Path("runs/experiments/arms"), help="shared")
    top.add_argument("--out", type=Path, default=Path(f"runs/experiments/{name}"))
    return top


def lesson_shop(options: argparse.Namespace, tools: Tools) -> Shop:
    """Arms of stage one. The recipe's steps up to its lessons are run if they are not there."""
    made: Path = options.made or Path("runs") / Path(options.recipe).stem
    if not (options.base and options.lessons):
        print(f"{options.recipe}: base model and lessons in {made}", file=sys.stderr, flush=True)
        command = ["run", options.recipe, "--output", str(made), "--until", "filter"]
        tools.run(module_command("redraft.train", *command), options.out / "recipe.log")
    base = options.base or made / "base"
    lessons = options.lessons or made / "lessons" / "kept.jsonl"
    return shop(options, tools, "stage1", base, of_families(options, lessons))


def of_families(options: argparse.Namespace, lessons: Path) -> Path:
    """The lessons of some families only, in a file of their own: a smaller experiment, which a
    small model learns sooner."""
    if not options.families:
        return lessons
    path: Path = options.arms / f"{'-'.join(['lessons', *options.families])}.jsonl"
    rows = jsonl.read(lessons)
    jsonl.write(path, (r for r in rows if r.get("meta", {}).get("family") in options.families))
    return path


def shop(options: argparse.Namespace, tools: Tools, step: str, start: Path, data: Path) -> Shop:
    return Shop(
        recipe=options.recipe,
        step=step,
        start=start.resolve(),
        data=data.resolve(),
        takes="lessons" if step == "stage1" else "pairs",
        arms=options.arms.resolve(),
        tools=tools,
        changes=tuple(options.changes),
        seed=options.seed,
        families=tuple(options.families),
        per_family=options.per_family,
        task_seed=options.task_seed,
    )


def size(options: argparse.Namespace, shop: Shop) -> int:
    """How much data an arm gets that gets all."""
    with shop.data.open("rb") as lines:
        there = sum(1 for _ in lines)
    if options.limit is not None and options.limit > there:
        raise ConfigError(f"--limit {options.limit}: {shop.data} has {there} {shop.takes}")
    if not there:
        raise ConfigError(f"{shop.data} has no {shop.takes}")
    return options.limit or there


def how(options: argparse.Namespace) -> str:
    """What a reader must know to take the table for what it is."""
    changed = f" with {', '.join(options.changes)}" if options.changes else ""
    families = f", families {', '.join(options.families)} alone" if options.families else ""
    return f"Recipe {Path(options.recipe).stem}{changed}{families}"


def trained(arms: Sequence[Arm], shop: Shop) -> list[Measured]:
    """One after the other: a training takes all the processors it may have."""
    return [measured(arm, shop) for arm in arms]


def conduct(
    top: argparse.ArgumentParser,
    experiment: Experiment,
    arguments: Sequence[str],
    tools: Tools,
) -> int:
    options = top.parse_args(arguments)
    result = experiment(options, tools)
    publish(result, options.out)
    asked = len(result.samples)
    return 1 if sum(result.failures.values()) > options.max_failed * asked else 0
