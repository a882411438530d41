"""Recorded answers, judged one by one: for those who compute shares of their own.

    python -m redraft.benchmarks.workbench.judged --answers answers.jsonl --output judged.jsonl

Reads what train/workbench/evaluate.py wrote. Each row says which responses were right, and
whether the feedback on the draft took it for what it was (``null`` where it gave no score).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redraft.benchmarks.workbench.figures import Answer, tokens
from redraft.server import jsonl
from redraft.server.options import option
from redraft.server.refine.srt_format import HIGHEST_SCORE
from redraft.train.program import read, run
from redraft.train.workbench.judge import judge
from redraft.train.workbench.tasks import task_for


@dataclass(frozen=True, slots=True)
class JudgedOptions:
    """One judged row for each recorded answer."""

    answers: str = option("what evaluate wrote (.jsonl)")
    output: str = option("file for the judged rows (.jsonl)")


def judged(answer: Answer) -> dict[str, Any]:
    task = task_for(answer["instruction"])
    right = [judge(task, response).right for response in answer["responses"]]
    score = answer["feedback"][0]["score"] if answer["feedback"] else None
    return {
        "family": task.family,
        "instruction": answer["instruction"],
        "right": right,
        "verdict": None if score is None else (score == HIGHEST_SCORE) == right[0],
        "malformed": answer["malformed"],
        "stop_reason": answer["stop_reason"],
        "tokens": tokens(answer),
    }


def rows(path: Path) -> Iterator[dict[str, Any]]:
    for answer in jsonl.read(path):
        yield judged(answer)


def main(argv: Sequence[str]) -> int:
    options = read(JudgedOptions, "judged", argv)
    count = jsonl.write(Path(options.output), rows(Path(options.answers)))
    print(f"judged: {count} answers in {options.output}")
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
