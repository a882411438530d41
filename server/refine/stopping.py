"""Decides when a loop stops, and which response is the answer.

How to add a stop rule: add its name to ``StopReason`` in server/refine/trace.py; return it from
``after_feedback`` or ``after_refinement``; add a row to the table in
tests/server/refine/test_stopping.py.
"""

from __future__ import annotations

from collections.abc import Sequence

from redraft.server.refine.checks import Finding
from redraft.server.refine.checks.scoring import all_hold, held
from redraft.server.refine.policy import Keep, Policy
from redraft.server.refine.trace import ResponseText, StopReason


class Stop(Exception):
    """Raised anywhere in the loop to end it with the best response so far."""

    def __init__(self, reason: StopReason, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason: StopReason = reason


def before_feedback(policy: Policy, findings: Sequence[Finding]) -> StopReason | None:
    """Stop when a response passes all checks, unless its feedback has to be good enough, too."""
    needs_score = policy.good_enough is not None and policy.feedback_by == "model"
    if all_hold(findings) and not needs_score and not policy.feedback_only:
        return "checks_passed"
    return None


def after_feedback(
    policy: Policy,
    scores: Sequence[float | None],
    findings: Sequence[Finding] = (),
    votes: Sequence[int | None] = (),
) -> StopReason | None:
    """``scores[-1]``, ``findings`` and ``votes`` are of the response that would be refined next."""
    score = scores[-1]
    if policy.feedback_only:
        return "good_enough"
    good = policy.good_enough is not None and reaches(policy.good_enough, votes or scores[-1:])
    if policy.checks:  # until all of them hold
        good = good or policy.good_enough is None
        return "checks_passed" if good and all_hold(findings) else None
    if score is None:  # the caller's own feedback, or a model's that has no scores
        return None
    if good:
        return "good_enough"
    if policy.keep == "best" and len(scores) > 1:
        before = scores[-2]
        if before is not None and score <= before:
            return "no_gain"
    return None


def reaches(score: int, votes: Sequence[float | None]) -> bool:
    """Whether most votes give this score or more; void ones do not count."""
    counted = [vote for vote in votes if vote is not None]
    return 2 * sum(vote >= score for vote in counted) > len(counted)


def after_refinement(responses: Sequence[ResponseText]) -> StopReason | None:
    """Stop when a refinement repeats an earlier response, which the loop would not leave, or says
    nothing, which cannot be refined."""
    *earlier, last = (r.text.strip() for r in responses)
    return "no_change" if last in earlier or not last else None


def needs_scoring(policy: Policy, scores: Sequence[float | None]) -> bool:
    """Whether the last response still needs a score for the best to be kept."""
    scored = policy.feedback_by == "model"
    return scored and policy.keep == "best" and len(scores) > 1 and scores[-1] is None


def kept(keep: Keep, responses: Sequence[ResponseText], scores: Sequence[float | None]) -> int:
    """The index of the answer: the last response, or the one that passes most checks and, among
    those, has the best score.

    Ties go to the earlier. An empty response loses to any other, and one that was cut short to
    one that was not and passes as many checks."""
    usable = [i for i, r in enumerate(responses) if r.text.strip()] or list(range(len(responses)))
    if keep == "best":
        most = max(held(responses[i].findings) for i in usable)
        usable = [i for i in usable if held(responses[i].findings) == most]
    usable = [i for i in usable if responses[i].finish_reason == "stop"] or usable
    scored = [(i, score) for i in usable if (score := scores[i]) is not None]
    if keep == "best" and scored:
        top = max(score for _, score in scored)
        return next(i for i, score in scored if score == top)
    if keep == "best" and any(response.findings for response in responses):
        return usable[0]
    text = responses[usable[-1]].text.strip()
    return next(i for i in usable if responses[i].text.strip() == text)
