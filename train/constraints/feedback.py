"""The findings of the checks as feedback, also where nothing was asked that could be checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from redraft.server.refine.checks.check import Finding
from redraft.server.refine.checks.report import NOTHING_TO_DO, feedback_of
from redraft.server.refine.checks.scoring import score_of
from redraft.server.refine.srt_format import HIGHEST_SCORE, render_feedback

NOTHING_FOUND = "\n- nothing that was asked for is missing."


def feedback(findings: Sequence[Finding]) -> str:
    if not findings:
        return render_feedback(NOTHING_FOUND, NOTHING_TO_DO, HIGHEST_SCORE)
    return feedback_of(findings).text


def in_words(findings: Sequence[Finding], said: Sequence[str]) -> list[Finding]:
    """The findings with their constraints as the instruction words them, each on one line."""
    return [
        replace(finding, says=" ".join(words.split()).rstrip(" .:;"))
        for finding, words in zip(findings, said, strict=True)
    ]


def score(findings: Sequence[Finding]) -> int:
    return score_of(findings) if findings else HIGHEST_SCORE
