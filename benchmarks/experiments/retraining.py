"""Experiments whose arms are trained: their options, and how they are run.

Base weights and lessons come from a recipe, whose missing steps are run first.
"""

from __future__ import annotations

import sys
from pathlib import Path

from redraft.benchmarks.experiments.arms import ArmSettings, RetrainingOptions, Tools
from redraft.benchmarks.output.results import Result, publish
from redraft.child_process import python_module
from redraft.server import jsonl
from redraft.server.options import ConfigError


def lesson_settings(options: RetrainingOptions, tools: Tools) -> ArmSettings:
    """Settings of stage-one arms. Runs the recipe up to its lessons if they are missing."""
    made = options.made or Path("runs") / Path(options.recipe).stem
    if not (options.base and options.lessons):
        print(f"{options.recipe}: base model and lessons in {made}", file=sys.stderr, flush=True)
        command = ["run", options.recipe, "--output", str(made), "--until", "filter"]
        tools.run(python_module("redraft.train", *command), options.out / "recipe.log")
    base = options.base or made / "base"
    lessons = options.lessons or made / "lessons" / "kept.jsonl"
    return ArmSettings(options, tools, "stage1", base, of_families(options, lessons))


def of_families(options: RetrainingOptions, lessons: Path) -> Path:
    """The file of the lessons; with ``options.families`` a new file of theirs alone."""
    if not options.families:
        return lessons
    path = options.arms / f"{'-'.join(['lessons', *options.families])}.jsonl"
    rows = (line.row() for line in jsonl.lines(lessons) if _family(line) in options.families)
    if not jsonl.write(path, rows):
        names = ", ".join(options.families)
        raise jsonl.FileError(f"{lessons} holds no lessons with a family of {names} in their meta")
    return path


def _family(lesson: jsonl.Line) -> object:
    meta = lesson.row().get("meta", {})
    if not isinstance(meta, dict):
        raise lesson.error('an object as "meta"')
    return meta.get("family")


def size(options: RetrainingOptions, settings: ArmSettings) -> int:
    """The number of lessons or pairs that a full arm is trained on."""
    there = sum(1 for _ in jsonl.read(settings.data))
    if options.limit is not None and options.limit > there:
        raise ConfigError(f"--limit {options.limit}: {settings.data} has {there} {settings.takes}")
    if not there:
        raise ConfigError(f"{settings.data} has no {settings.takes}")
    return options.limit or there


def how(options: RetrainingOptions) -> str:
    """One phrase that says how the arms were trained, for notes under tables."""
    often = f", {options.trainings} trainings each" if options.trainings > 1 else ""
    changed = f" with {', '.join(options.set)}" if options.set else ""
    families = f", families {', '.join(options.families)} alone" if options.families else ""
    return f"Recipe {Path(options.recipe).stem}{changed}{families}{often}"


def finish(result: Result, options: RetrainingOptions) -> int:
    """Publish the result; returns the exit code."""
    publish(result, options.out)
    return 1 if sum(result.failures.values()) > options.max_failed * len(result.samples) else 0
