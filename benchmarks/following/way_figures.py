"""Several ways of answering the same prompts: constraints met, tokens, and what the tokens of each
way would have bought in drafts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from redraft.benchmarks.following.figures import LEVELS, MetCounts
from redraft.benchmarks.following.several_ways import DIRECT, Answers
from redraft.benchmarks.grading.constrained import Met
from redraft.benchmarks.stats.intervals import Interval, mean_interval
from redraft.benchmarks.stats.pairs import Flips, compare, flips

STRICT = "prompt strict"
BEST = "best of"
RIVALS = (BEST, "vote of")
ITERATED = ("itself", "checks")


@dataclass(frozen=True, slots=True)
class WayColumn:
    """What one way answered, prompt by prompt."""

    tokens: tuple[float, ...]
    met: tuple[Met, ...]
    texts: tuple[str, ...]

    @property
    def right(self) -> list[bool]:
        return [all(met.strict) for met in self.met]

    @property
    def mean_tokens(self) -> float:
        return fmean(self.tokens)

    def counts(self, level: str) -> MetCounts:
        return MetCounts.at(level, self.met)


@dataclass(frozen=True, slots=True)
class Pairing:
    """One way against another on the same prompts."""

    ahead: Interval  # points of prompts whose constraints are all met
    flipped: Flips  # from the other way to this one
    dearer: Interval  # tokens this way has more

    @classmethod
    def of(cls, ours: WayColumn, theirs: WayColumn, seed: int) -> Pairing:
        return cls(
            ours.counts(STRICT).minus(theirs.counts(STRICT), seed),
            flips(theirs.right, ours.right),
            compare(ours.tokens, theirs.tokens, seed).difference,
        )


def columns_of(
    answers: Sequence[Answers], verdicts: Sequence[Mapping[str, Met]]
) -> dict[str, WayColumn]:
    """``answers`` and ``verdicts``: of each prompt, those of every way and those on every text."""
    return {
        name: WayColumn(
            tuple(float(each[name].tokens) for each in answers),
            tuple(met[each[name].text] for each, met in zip(answers, verdicts, strict=True)),
            tuple(each[name].text for each in answers),
        )
        for name in answers[0]
    }


def way_figures(columns: Mapping[str, WayColumn], seed: int) -> dict[str, Any]:
    direct = columns[DIRECT]
    return {
        name: {
            "met": {level: column.counts(level).share(seed) for level in LEVELS},
            "gain_on_direct": {
                level: column.counts(level).minus(direct.counts(level), seed) for level in LEVELS
            },
            "flips": flips(direct.right, column.right),
            "tokens": mean_interval(column.tokens, seed),
        }
        for name, column in columns.items()
    }


def at_equal_tokens(columns: Mapping[str, WayColumn], seed: int) -> dict[tuple[str, str], Pairing]:
    """Each way that is no choice among drafts, against the choice that its tokens buy."""
    return {
        (name, rival): Pairing.of(column, columns[rival], seed)
        for name, column in columns.items()
        if name != DIRECT and not name.startswith(RIVALS)
        for kind in RIVALS
        if (rival := as_dear(kind, column.mean_tokens, columns))
    }


def as_dear(kind: str, tokens: float, columns: Mapping[str, WayColumn]) -> str | None:
    """The fewest drafts that cost at least as much in the mean, so that the odd token is in their
    favour; the most there are, where none cost so much."""
    prices = {name: column.mean_tokens for name, column in columns.items() if name.startswith(kind)}
    enough = {name: price for name, price in prices.items() if price >= tokens}
    if enough:
        return min(enough, key=lambda name: enough[name])
    return max(prices, key=lambda name: prices[name], default=None)


def iteration_by_iteration(
    columns: Mapping[str, WayColumn], seed: int
) -> dict[tuple[str, str], Pairing]:
    """Each number of iterations against one less."""
    found = {}
    for label in ITERATED:
        before = DIRECT
        for name in columns:
            if name.startswith(f"{label} "):
                found[name, before] = Pairing.of(columns[name], columns[before], seed)
                before = name
    return found
