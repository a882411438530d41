"""Judge recorded answers one by one, for those who compute shares of their own.

    redraft bench workbench judge --answers answers.jsonl --output judged.jsonl

Each row says which responses were right, and whether the feedback on the draft took it for what it
was (``null`` where it gave no score).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redraft.benchmarks.commands.options import read
from redraft.benchmarks.workbench.figures import RecordedAnswer, tokens
from redraft.server import jsonl
from redraft.server.options import option
from redraft.server.refine.srt_format import HIGHEST_SCORE
from redraft.train.workbench.judge import judge
from redraft.train.workbench.tasks import UnknownInstruction, task_for


@dataclass(frozen=True, kw_only=True)
class JudgedOptions:
    answers: Path = option("what evaluate wrote (.jsonl)")
    output: Path = option("file for the judged rows (.jsonl)")


def main(arguments: Sequence[str]) -> int:
    options = read(JudgedOptions, "workbench judge", arguments, __doc__)
    rows = [_judged(line) for line in jsonl.lines(options.answers)]
    if not rows:
        raise jsonl.FileError(f"{options.answers} holds no answers")
    print(f"judge: {jsonl.write(options.output, rows)} answers in {options.output}")
    return 0


def _judged(line: jsonl.Line) -> dict[str, Any]:
    try:
        return judged(line.row())
    except UnknownInstruction as error:
        raise line.error("an instruction of the workbench") from error
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise line.error(f"an answer as evaluate writes it ({error!r})") from error


def judged(answer: RecordedAnswer) -> dict[str, Any]:
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
