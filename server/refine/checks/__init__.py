"""Checks: constraints that a program verifies on a response, whose findings are feedback.

    check = read_check({"kind": "words", "at_least": 50})
    finding = verify(check, response, instruction)
    finding.line()      # "at least 50 words: 31 words. Not met."

Every verdict takes time linear in the response, within fixed bounds, and no text raises.
"""

from redraft.server.refine.checks.arguments import CheckError
from redraft.server.refine.checks.check import Check, Finding, Kind
from redraft.server.refine.checks.scoring import score_of
from redraft.server.refine.checks.table import (
    KINDS,
    MOST_CHECKS,
    count,
    read_check,
    read_checks,
    says,
    verify,
    verify_all,
    verify_each,
)

__all__ = [
    "KINDS",
    "MOST_CHECKS",
    "Check",
    "CheckError",
    "Finding",
    "Kind",
    "count",
    "read_check",
    "read_checks",
    "says",
    "score_of",
    "verify",
    "verify_all",
    "verify_each",
]
