"""Arms: models that differ in one thing, trained from the same weights by the same recipe, served,
and asked the same held-out instructions through the public API.

Each training is a process; what is done is not done again. An arm lies in a folder that is named
for all that decides it, so experiments share the arms they have in common.
"""

from __future__ import annotations

import errno
import hashlib
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from redraft.benchmarks.load.programs import Run, run_to_end
from redraft.benchmarks.workbench.evaluate import EvaluateOptions, evaluate
from redraft.benchmarks.workbench.judge import judged
from redraft.child_process import python_module
from redraft.server import jsonl
from redraft.server.refine.srt_format import COMPONENTS
from redraft.train.workbench.families import FAMILIES

Row = Mapping[str, Any]  # an answer, judged
_TRAINING = "training.json"  # beside trained weights: what the training was


@dataclass(frozen=True, slots=True)
class Arm:
    name: str  # as the tables show it
    size: int  # lessons or pairs it is trained on; 0: the weights all start from
    components: tuple[str, ...] = COMPONENTS  # of its feedback; none: it answers directly


@dataclass(frozen=True, slots=True)
class Tools:
    """How arms are trained and asked."""

    run: Run
    evaluate: Callable[[EvaluateOptions], int]


TOOLS = Tools(run_to_end, evaluate)


@dataclass(frozen=True, slots=True)
class Shop:
    """What all arms have in common: how they are made, and how they are measured."""

    recipe: str
    step: str  # of the recipe: the training that differs
    start: Path  # weights all arms start from
    data: Path
    takes: Literal["lessons", "pairs"]  # what the data is, and the option of the step it goes in
    arms: Path  # folder of the arms
    tools: Tools
    changes: tuple[str, ...] = ()  # NAME=VALUE: options of the step, other than the recipe's
    seed: int = 1
    families: tuple[str, ...] = ()  # of instructions; none: all there are
    per_family: int = 60
    task_seed: int = 7


@dataclass(frozen=True, slots=True)
class MeasuredArm:
    arm: Arm
    steps: int  # of training
    rows: tuple[Row, ...]  # one for each instruction


def measured(arm: Arm, shop: Shop) -> MeasuredArm:
    """The arm's answers, judged; trains it first, if it is not there yet."""
    folder = shop.arms / folder_name(arm, shop)
    print(f"{arm.name}: {folder}", file=sys.stderr, flush=True)
    model = _made(arm, shop, folder)
    asked = "-".join([*shop.families, str(shop.per_family), str(shop.task_seed)])
    answers = folder / f"answers-{asked}.jsonl"
    if not answers.is_file():
        options = EvaluateOptions(
            output=answers,
            model=model,
            iterations=1 if arm.components else 0,
            per_family=shop.per_family,
            families=shop.families or tuple(FAMILIES),
            seed=shop.task_seed,
        )
        shop.tools.evaluate(options)
    training: dict[str, Any] = {}
    if arm.size:
        training = json.loads((folder / shop.step / _TRAINING).read_text(encoding="utf-8"))
    return MeasuredArm(arm, training.get("steps", 0), tuple(map(judged, jsonl.read(answers))))


def _made(arm: Arm, shop: Shop, folder: Path) -> Path:
    """The model to serve. What gives no feedback has no manifest: its weights are served as they
    are, for direct answers."""
    trained = folder / shop.step if arm.size else shop.start
    only: list[str] = []
    changes: list[str] = []
    if arm.size:
        only.append(shop.step)
        changes += _set(shop.step, _training(arm, shop, trained))
        changes += [f"steps.{shop.step}.{change}" for change in shop.changes]
    if arm.components:
        only.append("merge")
        values: dict[str, Any] = {"model": str(trained), "output": str(folder / "model")}
        values |= {"components": arm.components, "good_enough": None, "keep": "last"}
        changes += _set("merge", values)
    if only:
        sets = [part for change in changes for part in ("--set", change)]
        command = ["run", shop.recipe, "--output", str(folder), "--only", *only, *sets]
        shop.tools.run(python_module("redraft.train", *command), folder / "log.txt")
    return folder / "model" if arm.components else trained


def _training(arm: Arm, shop: Shop, output: Path) -> dict[str, Any]:
    values: dict[str, Any] = {"model": str(shop.start), "output": str(output)}
    values |= {"limit": arm.size, "seed": shop.seed}
    if shop.takes == "lessons":
        values |= {"lessons": [str(shop.data)], "components": arm.components}
    else:
        values |= {"pairs": str(shop.data)}
    return values


def _set(step: str, values: Mapping[str, Any]) -> list[str]:
    return [f"steps.{step}.{name}={json.dumps(value)}" for name, value in values.items()]


def folder_name(arm: Arm, shop: Shop) -> str:
    """Says what it is to a reader, and by its hash all that decides it."""
    parts = "all" if arm.components == COMPONENTS else "-".join(arm.components) or "none"
    weights = sorted([*shop.start.glob("*.safetensors"), *shop.start.glob("tokenizer.json")])
    if not weights:
        raise FileNotFoundError(errno.ENOENT, "no weights", str(shop.start / "*.safetensors"))
    deciding: list[object] = [arm.size, arm.components, *map(_sha256, weights)]
    if arm.size:
        deciding += [shop.recipe, shop.step, shop.changes, shop.seed, _sha256(shop.data)]
    digest = hashlib.sha256(json.dumps(deciding).encode()).hexdigest()[:8]
    return f"{shop.step if arm.size else 'start'}-{arm.size}-{parts}-{digest}"


def _sha256(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
