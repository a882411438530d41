"""The exact critic: feedback that carries the working, and the refinement that follows from it.

The working comes before the verdict and the score after both, so that a model which writes
feedback token by token has worked the answer out before it has to say what is wrong.
"""

from __future__ import annotations

from redraft.server.refine.srt_format import render_feedback
from redraft.train.workbench.judge import judge
from redraft.train.workbench.tasks import Task


def feedback(task: Task, response: str) -> str:
    findings = judge(task, response)
    weaknesses = f"{findings.working} {findings.verdict}"
    return render_feedback(weaknesses, findings.advice, findings.score)


def refinement(task: Task, response: str) -> str:
    """A right response; the same one when it is right already."""
    findings = judge(task, response)
    return response if findings.right else findings.better
