"""Two systems on the same items: is the difference real?

    compare(ours, theirs)               paired bootstrap of the mean difference, and a sign test
    flips(before, after)                right and wrong before and after, with McNemar's exact test

Pairing matters: instructions differ far more in difficulty than systems do in quality, and only
the difference on each instruction is free of that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from redraft.benchmarks.stats.intervals import NOTHING, Interval, percentiles, resampled_means


@dataclass(frozen=True, slots=True)
class Comparison:
    """Ours minus theirs over the items both have."""

    difference: Interval
    wins: int
    ties: int
    losses: int
    p_value: float  # two-sided sign test on the items where they differ

    @property
    def shown(self) -> str:
        return f"{self.wins}/{self.ties}/{self.losses}"


@dataclass(frozen=True, slots=True)
class Flips:
    """Numbers of answers by whether they were right before and after refining."""

    kept_right: int
    wrong_to_right: int
    right_to_wrong: int
    kept_wrong: int
    p_value: float  # McNemar's exact test

    @property
    def shown(self) -> str:
        """Wrong to right / right to wrong, as tables show it."""
        return f"{self.wrong_to_right}/{self.right_to_wrong}"

    @property
    def recovery(self) -> float:
        """The share of wrong answers made right."""
        wrong = self.wrong_to_right + self.kept_wrong
        return self.wrong_to_right / wrong if wrong else math.nan

    @property
    def disruption(self) -> float:
        """The share of right answers made wrong."""
        right = self.right_to_wrong + self.kept_right
        return self.right_to_wrong / right if right else math.nan


def compare(ours: Sequence[float], theirs: Sequence[float], seed: int = 0) -> Comparison:
    if len(ours) != len(theirs):
        raise ValueError(f"{len(ours)} values against {len(theirs)}: pairs are needed")
    if not ours:
        return Comparison(NOTHING, 0, 0, 0, 1.0)
    import numpy as np

    differences = np.asarray(ours, dtype=float) - np.asarray(theirs, dtype=float)
    bounds = percentiles(resampled_means(differences, seed))
    wins, losses = int((differences > 0).sum()), int((differences < 0).sum())
    return Comparison(
        Interval(float(differences.mean()), *bounds, len(differences)),
        wins,
        len(differences) - wins - losses,
        losses,
        sign_test(wins, losses),
    )


def flips(before: Sequence[bool], after: Sequence[bool]) -> Flips:
    if len(before) != len(after):
        raise ValueError(f"{len(before)} outcomes against {len(after)}: pairs are needed")
    pairs = list(zip(before, after, strict=True))
    gained, lost = pairs.count((False, True)), pairs.count((True, False))
    return Flips(
        pairs.count((True, True)),
        gained,
        lost,
        pairs.count((False, False)),
        sign_test(gained, lost),
    )


def sign_test(wins: int, losses: int) -> float:
    """The two-sided exact probability of a split this uneven if both were equally likely."""
    n = wins + losses
    tail = sum(math.comb(n, k) for k in range(min(wins, losses) + 1))
    # Whole numbers to the end: 2**n overflows a float beyond a thousand items.
    return min(1.0, 2 * tail / 2**n) if n else 1.0


def p_shown(p_value: float) -> str:
    """A p-value with at most three decimals."""
    return "<0.001" if p_value < 0.001 else f"{p_value:.3f}"
