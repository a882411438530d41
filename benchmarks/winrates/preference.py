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
    from redraft.benchmarks.winrates.length_control import Gamed, LengthControlled

# Against itself a system wins half the time, by construction.
EVEN = 50.0


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
    controlled: LengthControlled | None
    uncontrolled: str = ""  # why there is none

    @property
    def controlled_rate(self) -> float | None:
        if self.controlled:
            return self.controlled.rate
        return EVEN if not self.wins and not self.losses else None

    def json(self) -> dict[str, Any]:
        controlled = self.controlled
        return {
            "win_rate": self.rate,
            "standard_error": self.standard_error,
            "interval": self.interval,
            "discrete_win_rate": self.discrete_rate,
            "length_controlled_win_rate": self.controlled_rate,
            "length_controlled_standard_error": controlled.standard_error if controlled else None,
            "length_controlled_interval": controlled.interval if controlled else None,
            "no_length_control": self.uncontrolled or None,
            "wins": self.wins,
            "ties": self.ties,
            "losses": self.losses,
            "unjudged": self.unjudged,
            "length": self.length,
        }


def win_rate(
    annotations: Sequence[Annotation], gamed: Gamed, resamples: int, seed: int = 0
) -> WinRate:
    from redraft.benchmarks.winrates.length_control import NoLengthControl, length_controlled

    wins = [a.win for a in annotations if a.win is not None]
    if len(wins) < 2:
        raise ValueError(f"{len(wins)} of {len(annotations)} are judged; no rate can be given")
    won, tied = sum(win > 0.5 for win in wins), wins.count(0.5)
    controlled, uncontrolled = None, ""
    try:
        controlled = length_controlled(annotations, gamed, resamples)
    except NoLengthControl as reason:
        uncontrolled = str(reason)
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
        uncontrolled=uncontrolled,
    )


def compare_win_rates(
    ours: Sequence[Annotation], theirs: Sequence[Annotation], seed: int = 0
) -> Comparison:
    """The difference in win-rate points on the instructions judged for both."""
    known = {a.row: a.win for a in theirs if a.win is not None}
    both = [(a.win, known[a.row]) for a in ours if a.win is not None and a.row in known]
    return compare([100 * mine for mine, _ in both], [100 * other for _, other in both], seed)
