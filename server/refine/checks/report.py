"""Turns findings into feedback: the evidence and the verdict of each check, what to do, a score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from redraft.server.refine.checks.check import Finding
from redraft.server.refine.checks.scoring import score_of
from redraft.server.refine.srt_format import render_feedback
from redraft.server.refine.trace import Feedback

NOTHING_TO_DO = "Nothing to change."


def feedback_of(findings: Sequence[Finding]) -> Feedback:
    """In the form of feedback that a model is trained on."""
    weaknesses = lines_of(findings)
    advice = dict.fromkeys(finding.advice for finding in findings if not finding.passed)
    suggestions = "\n".join(f"- {each}" for each in advice) or NOTHING_TO_DO
    score = score_of(findings)
    text = render_feedback(f"\n{weaknesses}", f"\n{suggestions}" if advice else suggestions, score)
    return Feedback(text, score=score, weaknesses=weaknesses, suggestions=suggestions)


def lines_of(findings: Sequence[Finding]) -> str:
    """The evidence and the verdict of each check."""
    return "\n".join(f"- {finding.line()}" for finding in findings)


def beside(findings: Sequence[Finding], feedback: Feedback) -> Feedback:
    """Feedback that someone else wrote, after what the checks found if there are any."""
    if not findings:
        return feedback
    text = f"{lines_of(findings)}\n\n{feedback.text}"
    return replace(feedback, text=text, token_ids=())
