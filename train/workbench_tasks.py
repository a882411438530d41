"""Instructions of the workbench with right responses, as a file: a step of a recipe.

python -m train.workbench_tasks --split train --count 2000 --output tasks.jsonl
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from train.config import option, parse, program
from train.records import write_lines
from train.workbench.tasks import answer, sample


@dataclass(frozen=True, slots=True)
class TasksOptions:
    """Verifiable instructions with right responses."""

    output: str = option("file for the instructions (.jsonl)")
    split: Literal["train", "preferences", "dev", "test"] = option("of the tasks", "train")
    count: int = option("how many", 1000)
    family: str | None = option("of one family only", None)
    held_out_wordings: bool = option("in the wordings that are never trained on", False)
    seed: int = option("of the draw", 0)


def main(argv: Sequence[str]) -> int:
    options = parse(TasksOptions, "tasks", argv)
    drawn = sample(
        options.split, options.family, options.count, options.seed, options.held_out_wordings
    )
    rows = (
        {
            "instruction": task.instruction,
            "output": answer(task, options.seed),
            "meta": {"family": task.family},
        }
        for task in drawn
    )
    print(f"tasks: {write_lines(Path(options.output), rows)} in {options.output}")
    return 0


if __name__ == "__main__":
    sys.exit(program(main))
