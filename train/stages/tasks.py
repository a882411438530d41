"""Instructions of the workbench with right responses, as a file: a step of a recipe.

    redraft train tasks --split train --count 2000 --output tasks.jsonl
    redraft train tasks --split test --labelled --output labelled.jsonl

The second writes them as ``redraft bench`` reads them. Where many responses are right there are no
answers in the file: its judge is served by ``redraft train exact``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from redraft.server import jsonl
from redraft.server.options import option
from redraft.train.program import read
from redraft.train.workbench.families import FAMILIES
from redraft.train.workbench.tasks import Task, answer, sample


@dataclass(frozen=True, slots=True)
class TasksOptions:
    """Verifiable instructions with right responses."""

    output: str = option("file for the instructions (.jsonl)")
    split: Literal["train", "preferences", "dev", "test"] = option("of the tasks", "train")
    count: int = option("how many", 1000)
    family: str | None = option("of one family only", None)
    held_out_wordings: bool = option("in the wordings that are never trained on", False)
    seed: int = option("of the draw", 0)
    labelled: bool = option("as labelled prompts, for measuring", False)


def main(argv: Sequence[str]) -> int:
    options = read(TasksOptions, "tasks", argv)
    drawn = sample(
        options.split, options.family, options.count, options.seed, options.held_out_wordings
    )
    write = _labelled if options.labelled else _with_response
    rows = (write(task, options.seed) for task in drawn)
    print(f"tasks: {jsonl.write(Path(options.output), rows)} in {options.output}")
    return 0


def _with_response(task: Task, seed: int) -> dict[str, Any]:
    return {
        "instruction": task.instruction,
        "output": answer(task, seed),
        "meta": {"family": task.family},
    }


def _labelled(task: Task, seed: int) -> dict[str, Any]:
    answers = [] if FAMILIES[task.family].is_open else [answer(task, seed)]
    return {"prompt": task.instruction, "answers": answers, "group": task.family}
