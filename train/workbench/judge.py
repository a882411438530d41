"""The exact judge of responses to workbench tasks."""

from __future__ import annotations

from dataclasses import dataclass

from redraft.train.workbench.families import FAMILIES
from redraft.train.workbench.tasks import Task


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether a response is right, and how far from it."""

    right: bool
    score: int  # 1 to 10; 10 exactly when right
    problems: tuple[str, ...]


def judge(task: Task, response: str) -> Judgement:
    findings = FAMILIES[task.family].examine(task.slots, response)
    return Judgement(findings.right, findings.score, findings.problems)
