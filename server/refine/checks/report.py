"""Turns findings into feedback: the evidence and the verdict of each check, what to do, a score."""

from __future__ import annotations

from collections.abc import Sequence

from redraft.server.refine.checks.check import Finding
from redraft.server.refine.srt_format import HIGHEST_SCORE, LOWEST_SCORE, render_feedback
from redraft.server.refine.trace import Feedback

NOTHING_TO_DO = "Nothing to change."


def feedback_of(findings: Sequence[Finding]) -> Feedback:
    """In the form of feedback that a model is trained on."""
    weaknesses = "\n".join(f"- {finding.line()}" for finding in findings)
    advice = dict.fromkeys(finding.advice for finding in findings if not finding.passed)
    suggestions = "\n".join(f"- {each}" for each in advice) or NOTHING_TO_DO
    score = score_of(findings)
    text = render_feedback(f"\n{weaknesses}", f"\n{suggestions}" if advice else suggestions, score)
    return Feedback(text, score=score, weaknesses=weaknesses, suggestions=suggestions)


def score_of(findings: Sequence[Finding]) -> int:
    """From how many hold: the highest score means all of them."""
    held = sum(finding.passed for finding in findings)
    span = HIGHEST_SCORE - LOWEST_SCORE
    return LOWEST_SCORE + span * held // len(findings)
