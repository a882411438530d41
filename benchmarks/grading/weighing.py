"""Right answers and tokens of each way, compared with the first way prompt by prompt.

    answered = {"direct": {0: Answered(...), ...}, "refine-1": {...}}
    weighed = weigh(answered, seed=0)
    table("Quality against compute", weighed)

Pairing is by prompt: only prompts that both ways answered are compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from redraft.benchmarks.grading.ways import Reply
from redraft.benchmarks.output.results import Cell, Table
from redraft.benchmarks.stats.intervals import Interval, mean_interval, wilson
from redraft.benchmarks.stats.pairs import Comparison, Flips, compare, flips, p_shown

NOTE = (
    "Tokens: generated for one answer, in the mean, all phases and drafts. Mended/spoiled: wrong "
    "answers made right, right ones made wrong. p: McNemar's exact test. 95% intervals."
)


@dataclass(frozen=True, slots=True)
class Answered:
    """A graded reply."""

    right: bool
    course: tuple[bool, ...]  # the draft, then each refinement
    reply: Reply


Answers = Mapping[int, Answered]  # by the place of the prompt


@dataclass(frozen=True, slots=True)
class Weighed:
    """The figures of one way, compared with the first way."""

    right: Interval  # percent
    tokens: Interval
    gain: Comparison  # points
    flipped: Flips
    malformed: int  # loops ended by feedback that could not be read; scored as they ended
    answers: Answers

    def json(self) -> dict[str, Any]:
        replies = [answered.reply for answered in self.answers.values()]
        return {
            "right": self.right,
            "tokens": self.tokens,
            "prompt_tokens": fmean(reply.prompt_tokens for reply in replies),
            "gain": self.gain,
            "wrong_to_right": self.flipped.wrong_to_right,
            "right_to_wrong": self.flipped.right_to_wrong,
            "malformed": self.malformed,
        }


def weigh(answered: Mapping[str, Answers], seed: int, first: str = "") -> dict[str, Weighed]:
    """``first``: the way that the others are compared with."""
    base = answered[first or next(iter(answered))]
    weighed = {}
    for name, answers in answered.items():
        tokens = [float(each.reply.tokens) for each in answers.values()]
        weighed[name] = Weighed(
            share_right(answers),
            mean_interval(tokens, seed),
            gain(answers, base, seed),
            flips(*rights(base, answers)),
            sum(each.reply.stop_reason == "malformed_feedback" for each in answers.values()),
            answers,
        )
    return weighed


def share_right(answers: Answers) -> Interval:
    return wilson(sum(each.right for each in answers.values()), len(answers)).scaled(100)


def rights(one: Answers, other: Answers) -> tuple[list[bool], list[bool]]:
    """Grades of the prompts that both answered, in the same order."""
    both = [place for place in one if place in other]
    return [one[place].right for place in both], [other[place].right for place in both]


def gain(ours: Answers, theirs: Answers, seed: int) -> Comparison:
    """Percentage points of right answers that ours are ahead of theirs."""
    mine, others = rights(ours, theirs)
    return compare([100.0 * right for right in mine], [100.0 * right for right in others], seed)


def spent(ours: Answers, theirs: Answers, seed: int) -> Comparison:
    """Tokens that ours take more than theirs."""
    both = [place for place in ours if place in theirs]
    mine, others = ([float(way[p].reply.tokens) for p in both] for way in (ours, theirs))
    return compare(mine, others, seed)


def table(title: str, weighed: Mapping[str, Weighed], note: str = NOTE) -> Table:
    first = next(iter(weighed))
    rows: list[tuple[Cell, ...]] = []
    for name, each in weighed.items():
        compared: tuple[Cell, ...] = (None, None, None)
        if name != first:
            flipped = each.flipped
            mended = flipped.shown
            compared = (each.gain.difference, mended, p_shown(flipped.p_value))
        rows.append((name, each.right, each.tokens, *compared))
    columns = ("way", "right %", "tokens", f"gain on {first}, points", "mended/spoiled", "p")
    return Table(title, columns, tuple(rows), note)


def points(weighed: Mapping[str, Weighed]) -> dict[str, tuple[float, Interval]]:
    """Coordinates for a plot of quality against compute."""
    return {name: (each.tokens.estimate, each.right) for name, each in weighed.items()}


def samples(answered: Mapping[str, Answers]) -> list[dict[str, Any]]:
    return [
        {"way": name, "prompt": place, "right": each.right, "tokens": each.reply.tokens}
        for name, answers in answered.items()
        for place, each in answers.items()
    ]
