"""Win rates from a judge's preferences, and the comparison of two systems."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import stdev
from typing import TYPE_CHECKING, Any

from redraft.benchmarks.stats.intervals import Interval, mean_interval
from redraft.benchmarks.stats.pairs import Comparison, compare
from redraft.benchmarks.winrates.alpaca import Annotation

if TYPE_CHECKING:
    from redraft.benchmarks.winrates.length_control import Gamed, LengthControlled, Lookup

# Against itself a system wins half the time, by construction.
EVEN = 50.0


@dataclass(frozen=True, slots=True)
class LengthControl:
    """A length-controlled rate, or why there is none."""

    found: LengthControlled | None
    reason: str = ""
    even: bool = False  # no answer is longer than its reference, and none won or lost

    @property
    def rate(self) -> float | None:
        if self.found:
            return self.found.rate
        return EVEN if self.even else None

    @property
    def cell(self) -> Interval | float | None:
        """The rate with its interval, where there is one."""
        resampled = self.found is not None and math.isfinite(self.found.interval.low)
        return self.found.interval if self.found and resampled else self.rate

    @property
    def standard_error(self) -> float | None:
        return self.found.standard_error if self.found else None

    def json(self) -> dict[str, Any]:
        return {
            "win_rate": self.rate,
            "standard_error": self.standard_error,
            "interval": self.found.interval if self.found else None,
            "none_because": self.reason or None,
        }


@dataclass(frozen=True, slots=True)
class WinRate:
    """Rates in percent, of the annotations that are judged."""

    rate: float
    standard_error: float
    interval: Interval
    discrete_rate: float  # a preference counts as a whole win, tie or loss
    wins: int
    ties: int
    losses: int
    unjudged: int
    length: float  # mean characters of the system's answers
    controlled: LengthControl  # as published
    by_instruction: LengthControl

    def json(self) -> dict[str, Any]:
        controlled = self.controlled.found
        return {
            "win_rate": self.rate,
            "standard_error": self.standard_error,
            "interval": self.interval,
            "discrete_win_rate": self.discrete_rate,
            "length_controlled_win_rate": self.controlled.rate,
            "length_controlled_standard_error": controlled.standard_error if controlled else None,
            "length_controlled_interval": controlled.interval if controlled else None,
            "no_length_control": self.controlled.reason or None,
            "length_controlled_by_instruction": self.by_instruction.json(),
            "wins": self.wins,
            "ties": self.ties,
            "losses": self.losses,
            "unjudged": self.unjudged,
            "length": self.length,
        }


def win_rate(
    annotations: Sequence[Annotation], gamed: Gamed, resamples: int, seed: int = 0
) -> WinRate:
    wins = [a.win for a in annotations if a.win is not None]
    if len(wins) < 2:
        raise ValueError(f"{len(wins)} of {len(annotations)} are judged; no rate can be given")
    won, tied = sum(win > 0.5 for win in wins), wins.count(0.5)
    controlled = _length_control(annotations, gamed, resamples, "as published")
    by_instruction = controlled
    if any(each.moved for each in annotations):
        by_instruction = _length_control(annotations, gamed, resamples, "by instruction")
    return WinRate(
        rate=100 * math.fsum(wins) / len(wins),
        standard_error=100 * stdev(wins) / math.sqrt(len(wins)),
        interval=mean_interval(wins, seed).scaled(100),
        discrete_rate=100 * (won + tied / 2) / len(wins),
        wins=won,
        ties=tied,
        losses=len(wins) - won - tied,
        unjudged=len(annotations) - len(wins),
        length=math.fsum(a.length for a in annotations) / len(annotations),
        controlled=controlled,
        by_instruction=by_instruction,
    )


def _length_control(
    annotations: Sequence[Annotation], gamed: Gamed, resamples: int, lookup: Lookup
) -> LengthControl:
    from redraft.benchmarks.winrates.length_control import (
        NoLengthControl,
        length_controlled,
        objection,
    )

    try:
        return LengthControl(length_controlled(annotations, gamed, resamples, lookup))
    except NoLengthControl as reason:
        tied = all(a.win in (None, 0.5) for a in annotations)
        return LengthControl(None, str(reason), tied and not objection(annotations))


class OtherReference(ValueError):
    """Two systems were judged against different references."""


@dataclass(frozen=True, slots=True)
class Paired:
    """The difference of two systems' win rates, in points, over the instructions judged for both,
    and how many were judged for one of them alone."""

    comparison: Comparison
    first_alone: int
    second_alone: int


def compare_win_rates(
    ours: Sequence[Annotation], theirs: Sequence[Annotation], seed: int = 0
) -> Paired:
    """Pairs by instruction. Raises OtherReference."""
    first = {a.instruction: a for a in ours if a.win is not None}
    second = {a.instruction: a for a in theirs if a.win is not None}
    both = [(a, second[key]) for key, a in first.items() if key in second]
    if others := sum(a.reference_length != b.reference_length for a, b in both):
        raise OtherReference(
            f"{others} of {len(both)} instructions have a reference answer of another length in "
            "the other file: win rates against different references do not compare"
        )
    wins = [(a.win, b.win) for a, b in both if a.win is not None and b.win is not None]
    comparison = compare([100 * mine for mine, _ in wins], [100 * other for _, other in wins], seed)
    return Paired(comparison, len(first) - len(both), len(second) - len(both))
