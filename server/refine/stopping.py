"""Decides when a loop stops, and which response is the answer.

How to add a stop rule: add its name to ``StopReason`` in server/refine/trace.py; return it from
``after_feedback`` or ``after_refinement``; add a row to the table in
tests/server/refine/test_stopping.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from redraft.server.refine.checks import Finding
from redraft.server.refine.checks.scoring import all_hold, held
from redraft.server.refine.final_answer import commonest
from redraft.server.refine.policy import Keep, Policy
from redraft.server.refine.trace import Candidate, ResponseText, StopReason, Trace


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
    usable = _written(responses)
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


def best_of(candidates: Sequence[Candidate]) -> int:
    """The index of the best; of the first, where nothing says which that is."""
    scores = [c.feedback.rating if c.feedback else None for c in candidates]
    responses = [candidate.response for candidate in candidates]
    told = any(score is not None for score in scores) or any(r.findings for r in responses)
    return kept("best", responses, scores) if told else 0


def voted(trace: Trace) -> Trace:
    """The trace with the answer that most of its responses give, drafts and candidates included.
    An empty response loses to any other, and one that was cut short to one that was not."""
    seen: list[tuple[int, int | None, ResponseText, float | None]] = []
    for iteration, response in enumerate(trace.responses):
        population = trace.population(iteration)
        if len(population) < 2:
            feedback = [i.feedback for i in trace.iterations[iteration : iteration + 1]]
            seen.append((iteration, None, response, feedback[0].rating if feedback else None))
            continue
        for index, candidate in enumerate(population):
            rating = candidate.feedback.rating if candidate.feedback else None
            place = None if candidate.response is response else index
            seen.append((iteration, place, candidate.response, rating))
    responses = [response for _, _, response, _ in seen]
    usable = _written(responses)
    usable = [i for i in usable if responses[i].finish_reason == "stop"] or usable
    won = usable[commonest([responses[i].text for i in usable], [seen[i][3] for i in usable])]
    return replace(trace, kept=seen[won][0], kept_candidate=seen[won][1])


def _written(responses: Sequence[ResponseText]) -> list[int]:
    """The places of those that say something; of all, where none does."""
    return [i for i, r in enumerate(responses) if r.text.strip()] or list(range(len(responses)))
