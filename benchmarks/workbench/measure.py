"""Measure the workbench's models through the server's public API, and write the model card.

    redraft bench workbench measure --base DIR --model models/redraft-workbench

Serves one model after the other; every answer is recorded in --output before any figure is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redraft.benchmarks.commands.options import read
from redraft.benchmarks.workbench import card
from redraft.benchmarks.workbench.evaluate import EvaluateOptions, evaluate
from redraft.server.options import option


@dataclass(frozen=True, kw_only=True)
class MeasureOptions:
    base: Path = option("folder of the base model")
    model: Path = option("folder of the model to ship, with its redraft.json")
    output: Path = option("folder for the recorded answers", Path("runs/workbench/answers"))
    stage1: Path | None = option(
        "folder of the model before stage two, with its redraft.json", None
    )
    per_family: int = option("instructions of each family", 200)
    recipe: Path | None = option("folder the recipe wrote, for how long its steps took", None)
    experiments: tuple[Path, ...] = option("results of 'redraft bench experiments' (.json)", ())
    seed: int = option("of the draw", 7)
    concurrency: int = option("requests under way at once", 32)


def measure(options: MeasureOptions) -> Path:
    card.read_results(options.experiments)  # one that cannot be used is told before any is served
    for name, model, changes in _runs(options):
        evaluate(
            EvaluateOptions(
                output=options.output / f"{name}.jsonl",
                model=model,
                seed=options.seed,
                concurrency=options.concurrency,
                **{"per_family": options.per_family, **changes},
            )
        )
    return card.write(
        card.CardOptions(
            model=options.model,
            answers=options.output,
            recipe=options.recipe,
            experiments=options.experiments,
        )
    )


def _runs(options: MeasureOptions) -> list[tuple[str, Path, dict[str, Any]]]:
    """The runs to record: name, model, and changes to the options."""
    every = card.ITERATIONS
    # Beside the point of the card, so fewer are enough.
    held_out = {"held_out_wordings": True, "per_family": max(1, options.per_family // 4)}
    dev = {"split": "dev", "per_family": max(1, options.per_family // 4)}
    runs: list[tuple[str, Path, dict[str, Any]]] = [
        ("base", options.base, {"iterations": 0}),
        ("tuned", options.model, {"iterations": every}),
        ("gated", options.model, {"iterations": every, "good_enough": 10}),
        ("held_out", options.model, {**held_out, "iterations": every}),
        ("dev", options.model, {**dev, "iterations": every}),
        ("dev_gated", options.model, {**dev, "iterations": every, "good_enough": 10}),
    ]
    if options.stage1:
        runs.append(("stage1", options.stage1, {"iterations": every}))
    return runs


def main(arguments: Sequence[str]) -> int:
    options = read(MeasureOptions, "workbench measure", arguments, __doc__)
    print(f"measure: {measure(options)}")
    return 0
