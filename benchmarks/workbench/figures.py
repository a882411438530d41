"""All figures of the model card, from recorded answers of the base and the tuned model.

Shares have 95% Wilson intervals. The exact judge decides what is right; feedback is compared with
the exact critic's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from redraft.benchmarks.stats.intervals import Z, wilson
from redraft.server.refine.srt_format import HIGHEST_SCORE
from redraft.train.workbench import critic
from redraft.train.workbench.families.family import Findings
from redraft.train.workbench.judge import judge
from redraft.train.workbench.tasks import task_for

RecordedAnswer = Mapping[str, Any]  # a row that evaluate wrote


@dataclass(frozen=True, slots=True)
class Share:
    """A share with its 95% interval."""

    count: int
    of: int
    low: float
    high: float

    @property
    def value(self) -> float:
        return self.count / self.of if self.of else math.nan


def share(hits: Iterable[bool]) -> Share:
    known = list(hits)
    if not known:
        return Share(0, 0, 0.0, 1.0)
    interval = wilson(sum(known), len(known))
    return Share(sum(known), len(known), interval.low, interval.high)


def right_after(answer: RecordedAnswer, iterations: int) -> bool:
    """Whether the response after this many iterations is right."""
    return _judged_after(answer, iterations).right


def _judged_after(answer: RecordedAnswer, iterations: int) -> Findings:
    """A loop that stopped earlier keeps its last response."""
    responses = answer["responses"]
    last = responses[min(iterations, len(responses) - 1)]
    return judge(task_for(answer["instruction"]), last)


def tokens(answer: RecordedAnswer) -> int:
    return sum(answer["tokens"].values())


def quality(
    base: Sequence[RecordedAnswer], tuned: Sequence[RecordedAnswer], iterations: int
) -> dict[str, Share]:
    """Accuracy of the base model, the tuned model's draft, and its refinements."""
    accuracy = {"base": share(right_after(answer, 0) for answer in base)}
    for k in range(iterations + 1):
        accuracy["draft" if k == 0 else f"refined_{k}"] = share(right_after(a, k) for a in tuned)
    return accuracy


def flips(tuned: Sequence[RecordedAnswer], iterations: int) -> dict[str, Share]:
    """Shares of right drafts made wrong and of wrong drafts made right."""
    before = [(right_after(a, 0), right_after(a, iterations)) for a in tuned]
    return {
        "right_to_wrong": share(not after for draft, after in before if draft),
        "wrong_to_right": share(after for draft, after in before if not draft),
    }


def feedback(tuned: Sequence[RecordedAnswer]) -> dict[str, Share]:
    """Agreement of the model's feedback on drafts with the exact critic's. Verdicts on refinements
    are apart: a model tends to approve of what it has just corrected."""
    verdicts, exact, scores, refined = [], [], [], []
    for answer in tuned:
        task = task_for(answer["instruction"])
        for number, (response, feedback) in enumerate(
            zip(answer["responses"], answer["feedback"], strict=False)
        ):
            judged = judge(task, response)
            agrees = (feedback["score"] == HIGHEST_SCORE) == judged.right
            if number > 0:
                refined.append(agrees)
                continue
            verdicts.append(agrees)
            scores.append(feedback["score"] == judged.score)
            exact.append(feedback["text"] == critic.feedback(task, response))
    return {
        "verdict": share(verdicts),
        "score": share(scores),
        "word_for_word": share(exact),
        "verdict_refined": share(refined),
    }


def calibration(tuned: Sequence[RecordedAnswer]) -> list[dict[str, int]]:
    """For each score the number of drafts that got it and how many of them were right."""
    rows: dict[int, list[bool]] = {}
    for answer in tuned:
        if answer["feedback"] and answer["feedback"][0]["score"] is not None:
            rows.setdefault(answer["feedback"][0]["score"], []).append(right_after(answer, 0))
    return [
        {"score": score, "responses": len(right), "right": sum(right)}
        for score, right in sorted(rows.items())
    ]


def win_rate(
    base: Sequence[RecordedAnswer], tuned: Sequence[RecordedAnswer], iterations: int
) -> dict[str, float]:
    """Refined against base by the judge's score, ties half, with the normal 95% interval."""
    results = []
    for one, other in zip(tuned, base, strict=True):
        difference = _judged_after(one, iterations).score - _judged_after(other, 0).score
        results.append(0.5 if difference == 0 else float(difference > 0))
    mean = sum(results) / len(results)
    variance = sum((result - mean) ** 2 for result in results) / max(1, len(results) - 1)
    spread = Z * math.sqrt(variance / len(results))
    return {"value": mean, "low": mean - spread, "high": mean + spread}


def gate(
    tuned: Sequence[RecordedAnswer], gated: Sequence[RecordedAnswer], iterations: int
) -> dict[str, Any]:
    """Tokens and accuracy of loops that end at a score of 10 or at no change, of loops that end
    at no change only, and of loops that never end early."""
    spent, less = sum(map(tokens, tuned)), sum(map(tokens, gated))
    count = _counter()
    never = sum(unstopped(answer, iterations, count) for answer in tuned)
    return {
        "tokens": spent / len(tuned),
        "tokens_gated": less / len(gated),
        "tokens_unstopped": never / len(tuned),
        "saved": 1 - less / spent,
        "saved_of_unstopped": 1 - less / never,
        "accuracy": share(right_after(a, len(a["responses"])) for a in tuned),
        "accuracy_gated": share(right_after(a, len(a["responses"])) for a in gated),
    }


def unstopped(answer: RecordedAnswer, iterations: int, count: Callable[[str], int]) -> int:
    """Tokens of the loop if it did not end at no change. All phases are greedy and depend on the
    response alone, so every further iteration repeats the last one."""
    done = len(answer["responses"]) - 1
    if answer["stop_reason"] != "no_change":
        return tokens(answer)
    last = count(answer["feedback"][done - 1]["text"]) + count(answer["responses"][done])
    return tokens(answer) + (iterations - done) * last


@cache
def _counter() -> Callable[[str], int]:
    """Counts the tokens of a phase, its end token included."""
    from redraft.train.workbench import tokenizer

    words = tokenizer.build()
    return lambda text: len(words(text).input_ids) + 1
