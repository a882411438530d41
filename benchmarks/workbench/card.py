"""The model card of the workbench's model: every number in it comes from a file of measurements.

    redraft bench workbench card --model models/redraft-workbench --answers DIR

DIR holds what ``measure`` recorded. Writes README.md beside the weights, and policy,
calibration and figures into redraft.json. The policy is chosen on other instructions (dev) than
those that are reported (test).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redraft.benchmarks.commands.options import read
from redraft.benchmarks.output.results import plain
from redraft.benchmarks.workbench import card_tables, figures
from redraft.benchmarks.workbench.figures import RecordedAnswer
from redraft.server import jsonl
from redraft.server.options import ConfigError, option
from redraft.server.refine import manifest
from redraft.train.workbench.families import FAMILIES

ITERATIONS = 3
_NEEDED = ("base", "tuned", "gated", "dev", "dev_gated")


@dataclass(frozen=True, kw_only=True)
class CardOptions:
    model: Path = option("folder of the model to describe")
    answers: Path = option("folder with the recorded answers")
    recipe: Path | None = option("folder the recipe wrote, for how long its steps took", None)
    experiments: tuple[Path, ...] = option("results of 'redraft bench experiments' (.json)", ())


@dataclass(frozen=True, slots=True)
class Recorded:
    """The answers of one measurement, in the same order of instructions."""

    base: Sequence[RecordedAnswer]
    tuned: Sequence[RecordedAnswer]  # never stopped at a good score
    gated: Sequence[RecordedAnswer]  # stopped at a perfect one
    stage1: Sequence[RecordedAnswer]  # as tuned, of the model before stage two; may be empty
    held_out: Sequence[RecordedAnswer]  # as tuned, in wordings that were never trained on
    dev: Sequence[RecordedAnswer]  # as tuned, of instructions kept apart to choose the policy on
    dev_gated: Sequence[RecordedAnswer]

    @classmethod
    def read(cls, folder: Path) -> Recorded:
        return cls(**{name: _rows(folder / f"{name}.jsonl") for name in cls.__slots__})


def _rows(path: Path) -> list[dict[str, Any]]:
    return list(jsonl.read(path)) if path.is_file() else []


def computed(recorded: Recorded) -> dict[str, Any]:
    """All figures in the form of redraft.json."""
    base, tuned = recorded.base, recorded.tuned
    evaluation: dict[str, Any] = {
        "instructions": len(tuned),
        **_against(base, tuned),
        "families": {name: _family(name, base, tuned) for name in FAMILIES},
        "malformed": sum(answer["malformed"] for answer in tuned),
        "gate": figures.gate(tuned, recorded.gated, ITERATIONS),
    }
    if recorded.stage1:
        evaluation["stage1"] = _against(base, recorded.stage1)
    if recorded.held_out:
        evaluation["held_out"] = figures.quality([], recorded.held_out, ITERATIONS)
    evaluation["dev"] = {
        "instructions": len(recorded.dev),
        "accuracy": figures.quality([], recorded.dev, ITERATIONS),
        "gate": figures.gate(recorded.dev, recorded.dev_gated, ITERATIONS),
    }
    return dict(plain(evaluation))


def _against(base: Sequence[RecordedAnswer], tuned: Sequence[RecordedAnswer]) -> dict[str, Any]:
    """The figures of a model beside those of the base model."""
    return {
        "accuracy": figures.quality(base, tuned, ITERATIONS),
        "flips": figures.flips(tuned, 1),
        "feedback": figures.feedback(tuned),
        "win_rate": figures.win_rate(base, tuned, 1),
    }


def _family(
    name: str, base: Sequence[RecordedAnswer], tuned: Sequence[RecordedAnswer]
) -> dict[str, Any]:
    ours = [answer for answer in tuned if answer["family"] == name]
    theirs = [answer for answer in base if answer["family"] == name]
    return {**figures.quality(theirs, ours, 1), **figures.feedback(ours)}


ABOUT = (
    "A tiny model that knows ten kinds of small instructions about numbers, words and names, "
    "and nothing else. It is here to show what refining does."
)
EXAMPLES = (
    "What is the total of 25, 8, 34, 22?",
    "There are 58 books in a box. Then Kim wins 24, sells 28, buys 7. How many are left?",
    "Which two numbers in this list make 80: 72, 20, 39, 41?",
    "Which numbers in this list are odd: 8, 7, 72, 83, 14, 1?",
    "Start with 14 and find 5 even numbers that add up to 34.",
)


def best_policy(dev: Mapping[str, Any]) -> manifest.DefaultPolicy:
    """The fewest iterations that are as good as more, with a gate at 10 unless that costs
    accuracy. ``dev``: figures of instructions that are not reported."""
    accuracy = dev["accuracy"]
    rates = [accuracy[f"refined_{k}"]["count"] for k in range(1, ITERATIONS + 1)]
    few = dev["instructions"] / 100  # less than one percent more is not worth an iteration
    iterations = next(k for k, rate in enumerate(rates, 1) if rate >= max(rates) - few)
    gate = dev["gate"]
    keeps = gate["accuracy_gated"]["count"] >= gate["accuracy"]["count"] - few
    return manifest.DefaultPolicy(iterations, 10 if keeps else None, "last")


def write(options: CardOptions) -> Path:
    results = read_results(options.experiments)
    model, recorded = options.model, Recorded.read(options.answers)
    if missing := [name for name in _NEEDED if not getattr(recorded, name)]:
        raise ConfigError(f"{options.answers} has no {missing[0]}.jsonl; measure first")
    known = manifest.read(model)
    if known is None:
        raise ConfigError(f"{model} has no {manifest.NAME}; run 'redraft train merge' first")
    try:
        evaluation = computed(recorded)
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise jsonl.FileError(
            f"{options.answers} needs answers as evaluate writes them ({error!r})"
        ) from error
    rows = tuple(manifest.Calibration(**row) for row in figures.calibration(recorded.tuned))
    shown = {**evaluation, "about": ABOUT, "examples": EXAMPLES}  # for the server's page
    manifest.write(model, known.srt_format, best_policy(evaluation["dev"]), rows, shown)
    jsonl.write_json(options.answers / "figures.json", evaluation)
    path = model / "README.md"
    steps = _steps(options.recipe) if options.recipe else {}
    path.write_text(card_tables.render(evaluation, steps, results), encoding="utf-8")
    return path


def read_results(paths: Sequence[Path]) -> list[dict[str, Any]]:
    return [_result(path) for path in paths]


def _result(path: Path) -> dict[str, Any]:
    """What an experiment wrote."""
    result = jsonl.read_document(path)
    if not isinstance(result, dict) or not result.keys() >= {"about", "tables"}:
        raise jsonl.FileError(f"{path} needs a result of redraft bench: an object with its tables")
    return result


def _steps(recipe: Path) -> dict[str, float]:
    """The seconds that each step of the recipe took, in order."""
    marks = sorted((recipe / ".steps").glob("*.json"), key=lambda mark: mark.stat().st_mtime)
    return {mark.stem: jsonl.read_document(mark)["seconds"] for mark in marks}


def main(arguments: Sequence[str]) -> int:
    options = read(CardOptions, "workbench card", arguments, __doc__)
    path = write(options)
    figures_of = jsonl.read_document(options.answers / "figures.json")
    print(card_tables.main_table(figures_of))
    print(f"card: {path}")
    return 0
