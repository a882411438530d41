"""When to stop, and which response wins. Nothing else decides either.

How to add a stop rule: add its name to ``trace.StopReason``; return it from
``after_feedback`` or ``after_refinement``; add a row to the table in tests/test_stopping.py.
"""

from __future__ import annotations

from collections.abc import Sequence

from redraft.server.refine.policy import Keep, Policy
from redraft.server.refine.trace import ResponseText, StopReason


class Stop(Exception):
    """Ends the loop from wherever it is; the caller still gets the best response so far."""

    def __init__(self, reason: StopReason, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason: StopReason = reason
        self.detail = detail


def after_feedback(policy: Policy, scores: Sequence[int | None]) -> StopReason | None:
    """The last score is the one just given, on the response that would be refined next."""
    score = scores[-1]
    if policy.feedback_only:
        return "good_enough"
    if score is None:  # the caller's own feedback, or a model's that gives none: act on it
        return None
    if policy.good_enough is not None and score >= policy.good_enough:
        return "good_enough"
    if policy.keep == "best" and len(scores) > 1:
        before = scores[-2]
        if before is not None and score <= before:
            return "no_gain"
    return None


def after_refinement(responses: Sequence[ResponseText]) -> StopReason | None:
    """A refinement that repeats what was there would be repeated for ever."""
    *earlier, last = (r.text.strip() for r in responses)
    return "no_change" if last in earlier else None


def needs_scoring(policy: Policy, scores: Sequence[int | None]) -> bool:
    """To keep the best, the last response must be scored as well, unless it is the only one."""
    return policy.keep == "best" and len(scores) > 1 and scores[-1] is None


def kept(keep: Keep, responses: Sequence[ResponseText], scores: Sequence[int | None]) -> int:
    """The index of the answer: the last whole response, or the best scored one.

    Ties go to the earlier. An empty response loses to any other, and one that was cut short to
    one that was not."""
    able = [i for i, r in enumerate(responses) if r.text.strip()] or list(range(len(responses)))
    able = [i for i in able if responses[i].finish_reason == "stop"] or able
    scored = [(i, score) for i in able if (score := scores[i]) is not None]
    if keep == "best" and scored:
        top = max(score for _, score in scored)
        return next(i for i, score in scored if score == top)
    text = responses[able[-1]].text.strip()
    return next(i for i in able if responses[i].text.strip() == text)
