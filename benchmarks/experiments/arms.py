"""Arms: models that differ in one thing, trained from the same weights by the same recipe, served,
and asked the same held-out instructions through the public API.

Each training is a process. The folder of an arm is named by everything its weights depend on, so
that finished arms are reused, by other experiments too.
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

from redraft.benchmarks.experiments.exams import ConstraintsExam, Exam, Row, WorkbenchExam
from redraft.benchmarks.grading.constrained import drawn, read_prompts
from redraft.benchmarks.load.programs import Run, run_to_end
from redraft.benchmarks.workbench.evaluate import EvaluateOptions, evaluate
from redraft.child_process import python_module
from redraft.server.options import option
from redraft.server.refine import manifest
from redraft.server.refine.srt_format import COMPONENTS

_TRAINING = "training.json"  # beside trained weights: what the training was


@dataclass(frozen=True, slots=True)
class Arm:
    name: str  # as the tables show it
    size: int  # lessons or pairs it is trained on; 0: the weights all start from
    components: tuple[str, ...] = COMPONENTS  # of its feedback; none: it answers directly
    drafts: bool = False  # an adapter that learns to draft as well, and does


@dataclass(frozen=True, slots=True)
class Tools:
    """How arms are trained and asked."""

    run: Run
    evaluate: Callable[[EvaluateOptions], int]


TOOLS = Tools(run_to_end, evaluate)


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
    ready: Literal["merge", "adapter"] = option(
        "the step of the recipe that makes what was trained ready to be served", "merge"
    )
    trainings: int = option("of each arm, with this seed and the ones after it", 1, least=1)
    families: tuple[str, ...] = option("lessons and instructions of these only", ())
    per_family: int = option("held-out instructions of each family", 60, least=1)
    task_seed: int = option("which instructions", 7)
    data: Path | None = option("prompts with constraints instead of the workbench's", None)
    sample: int | None = option("only so many of these, drawn by task_seed", None, least=1)
    max_tokens: int = option("most tokens of a response to these", 400, least=1)
    max_failed: float = option("share of answers that may fail", 0.01)
    arms: Path = option("folder of trained arms, shared", Path("runs/experiments/arms"))
    out: Path = option("folder for the results", Path("runs/experiments"))

    def exam(self, tools: Tools) -> Exam:
        if self.data is None:
            return WorkbenchExam(tools.evaluate, self.families, self.per_family, self.task_seed)
        prompts = drawn(read_prompts(self.data), self.sample, self.task_seed)
        return ConstraintsExam(prompts, self.max_tokens)


@dataclass(frozen=True, slots=True)
class ArmSettings:
    """How all arms of an experiment are trained and measured."""

    options: RetrainingOptions
    tools: Tools
    step: Literal["stage1", "stage2"]  # of the recipe: the training that differs
    start: Path  # weights all arms start from
    data: Path

    @property
    def takes(self) -> Literal["lessons", "pairs"]:
        """What the data is, and the option of the step that takes it."""
        return "lessons" if self.step == "stage1" else "pairs"


@dataclass(frozen=True, slots=True)
class MeasuredArm:
    arm: Arm
    steps: int  # of a training
    rows: tuple[Row, ...]  # one for each instruction and training


def measured(arm: Arm, settings: ArmSettings) -> MeasuredArm:
    """Train the arm, so often as is asked, unless that is done, and judge its answers."""
    first = settings.options.seed
    # What is not trained is the same whatever the seed.
    seeds = range(first, first + settings.options.trainings) if arm.size else [first]
    trained = [_measured(arm, settings, seed) for seed in seeds]
    return MeasuredArm(arm, trained[0].steps, tuple(row for one in trained for row in one.rows))


def _measured(arm: Arm, settings: ArmSettings, seed: int) -> MeasuredArm:
    options = settings.options
    exam = options.exam(settings.tools)
    folder = _folder(arm, settings, seed)
    print(f"{arm.name}: {folder}", file=sys.stderr, flush=True)
    model = _made(arm, settings, folder, seed)
    answers = folder / f"answers-{exam.name}.jsonl"
    if not answers.is_file():
        drafts = _start_answers(settings, seed, exam) if _start_drafts(model) else None
        exam.ask(model, 1 if arm.components else 0, answers, drafts)
    training: dict[str, Any] = {}
    if arm.size:
        training = json.loads((folder / settings.step / _TRAINING).read_text(encoding="utf-8"))
    return MeasuredArm(arm, training.get("steps", 0), exam.judge(answers))


def _start_drafts(model: Path) -> bool:
    """Whether an adapter leaves drafting to its base."""
    writers = manifest.read_adapters(model).adapters
    return writers is not None and writers.draft is None


def _start_answers(settings: ArmSettings, seed: int, exam: Exam) -> Path:
    """Direct answers of the weights all arms start from, written once for all of them."""
    start = Arm("drafts of the base model", 0, ())
    _measured(start, settings, seed)
    return _folder(start, settings, seed) / f"answers-{exam.name}.jsonl"


def _made(arm: Arm, settings: ArmSettings, folder: Path, seed: int) -> Path:
    """The folder of the model to serve. An arm without feedback is not made ready: it has no
    manifest and is served for direct answers."""
    trained = folder / settings.step if arm.size else settings.start.resolve()
    only: list[str] = []
    changes: list[str] = []
    if arm.size:
        only.append(settings.step)
        changes += _set(settings.step, _training(arm, settings, trained, seed))
        changes += [f"steps.{settings.step}.{change}" for change in settings.options.set]
    if arm.components:
        ready, values = _ready(arm, settings)
        only.append(ready)
        changes += _set(ready, {"model": str(trained), "output": str(folder / "model"), **values})
    if only:
        sets = [part for change in changes for part in ("--set", change)]
        command = ["run", settings.options.recipe, "--output", str(folder), "--only", *only, *sets]
        settings.tools.run(python_module("redraft.train", *command), folder / "log.txt")
    return folder / "model" if arm.components else trained


def _ready(arm: Arm, settings: ArmSettings) -> tuple[str, dict[str, Any]]:
    """The step of the recipe that makes what was trained ready to be served, and its options. No
    score ends a loop: not every arm has one."""
    values: dict[str, Any] = {"components": arm.components, "good_enough": None}
    if settings.options.ready == "merge":
        return "merge", values | {"keep": "last"}
    start = str(settings.start.resolve())
    return "adapter", values | {"base": start, "base_folder": start, "drafts": arm.drafts}


def _training(arm: Arm, settings: ArmSettings, output: Path, seed: int) -> dict[str, Any]:
    values: dict[str, Any] = {"model": str(settings.start.resolve()), "output": str(output)}
    values |= {"limit": arm.size, "seed": seed}
    if settings.takes == "lessons":
        values |= {"lessons": [str(settings.data.resolve())], "components": arm.components}
        values |= {"mask_draft": False} if arm.drafts else {}
    else:
        values |= {"pairs": str(settings.data.resolve())}
    return values


def _set(step: str, values: Mapping[str, Any]) -> list[str]:
    return [f"steps.{step}.{name}={json.dumps(value)}" for name, value in values.items()]


def _folder(arm: Arm, settings: ArmSettings, seed: int) -> Path:
    return settings.options.arms.resolve() / folder_name(arm, settings, seed)


def folder_name(arm: Arm, settings: ArmSettings, seed: int) -> str:
    """Readable, and unique by a hash of everything the trained weights depend on."""
    parts = "all" if arm.components == COMPONENTS else "-".join(arm.components) or "none"
    weights = sorted(
        [*settings.start.glob("*.safetensors"), *settings.start.glob("tokenizer.json")]
    )
    if not weights:
        raise FileNotFoundError(errno.ENOENT, "no weights", str(settings.start / "*.safetensors"))
    deciding: list[object] = [arm.size, arm.components, *map(_sha256, weights)]
    if arm.size:
        options = settings.options
        deciding += [options.recipe, settings.step, options.set, seed]
        deciding += ["drafts"] if arm.drafts else []
        deciding.append(_sha256(settings.data))
    digest = hashlib.sha256(json.dumps(deciding).encode()).hexdigest()[:8]
    return f"{settings.step if arm.size else 'start'}-{arm.size}-{parts}-{digest}"


def _sha256(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
