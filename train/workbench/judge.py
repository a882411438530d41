"""The exact judge of responses to workbench tasks."""

from __future__ import annotations

from redraft.train.workbench.families import FAMILIES
from redraft.train.workbench.families.family import Findings
from redraft.train.workbench.tasks import Task


def judge(task: Task, response: str) -> Findings:
    return FAMILIES[task.family].examine(task.slots, response)
