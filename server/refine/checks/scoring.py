"""The score of a response by its checks."""

from __future__ import annotations

from collections.abc import Sequence

from redraft.server.refine.checks.check import Finding
from redraft.server.refine.srt_format import HIGHEST_SCORE, LOWEST_SCORE


def score_of(findings: Sequence[Finding]) -> int:
    """From how many hold: the highest score means all of them. There is one finding at least."""
    return LOWEST_SCORE + (HIGHEST_SCORE - LOWEST_SCORE) * held(findings) // len(findings)


def held(findings: Sequence[Finding]) -> int:
    """How many checks hold."""
    return sum(finding.passed for finding in findings)


def all_hold(findings: Sequence[Finding]) -> bool:
    """False without checks."""
    return bool(findings) and held(findings) == len(findings)
