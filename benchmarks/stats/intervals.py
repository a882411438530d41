"""How sure a measured number is: confidence intervals for shares, means and medians.

    wilson(41, 50)                      a share
    mean_interval(values, seed=1)       a mean, by bootstrap
    ratio_interval(parts, wholes)       a share of what comes several to an item, by bootstrap
    median_interval(values)             a median, by order statistics; no resampling

Every interval is two-sided at 95%, and the same seed gives the same one. Of fewer than six values
the median has no such interval; what is given instead is their range, and says so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist, fmean, median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

OUTSIDE = (1 - 0.95) / 2  # the probability left out on either side
Z = NormalDist().inv_cdf(1 - OUTSIDE)
RESAMPLES = 10_000
# For the notes of tables with medians.
MEDIANS = (
    "Medians with 95% intervals, by order statistics; of fewer than six values with their range, "
    "which is no interval and is called range."
)


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate from ``n`` observations with its confidence interval, or with their range."""

    estimate: float
    low: float
    high: float
    n: int
    is_range: bool = False  # of too few observations for an interval

    def scaled(self, factor: float) -> Interval:
        low, high = self.low * factor, self.high * factor
        return replace(self, estimate=self.estimate * factor, low=low, high=high)

    def json(self) -> dict[str, Any]:
        return {
            "estimate": round(self.estimate, 6),
            "low": round(self.low, 6),
            "high": round(self.high, 6),
            "n": self.n,
            **({"is_range": True} if self.is_range else {}),
        }

    def shown(self, digits: int = 1) -> str:
        estimate, low, high = (f"{v:.{digits}f}" for v in (self.estimate, self.low, self.high))
        return (
            f"{estimate} (range {low} to {high})"
            if self.is_range
            else f"{estimate} [{low}, {high}]"
        )


NOTHING = Interval(math.nan, math.nan, math.nan, 0)


def wilson(successes: float, n: int) -> Interval:
    """The share of successes with Wilson's score interval, which has a width at 0 and 1 as well."""
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes among {n}")
    if n == 0:
        return NOTHING
    share, squared = successes / n, Z * Z / n
    middle = (share + squared / 2) / (1 + squared)
    reach = Z / (1 + squared) * math.sqrt(share * (1 - share) / n + squared / (4 * n))
    # Rounding may leave a bound a hair inside the estimate at 0 and at 1.
    low, high = min(share, max(0.0, middle - reach)), max(share, min(1.0, middle + reach))
    return Interval(share, low, high, n)


def mean_interval(values: Sequence[float], seed: int = 0) -> Interval:
    """The mean with its percentile bootstrap interval."""
    if not values:
        return NOTHING
    import numpy as np

    means = resampled_means(np.asarray(values, dtype=float), seed)
    return Interval(fmean(values), *percentiles(means), len(values))


def median_interval(values: Sequence[float]) -> Interval:
    """The median with an interval of order statistics. Fewer than six values cannot give this
    confidence; what is given is then their range, and is marked as one."""
    if not values:
        return NOTHING
    ordered = sorted(values)
    n = len(ordered)
    # The number of values below the true median is Binomial(n, 1/2).
    rank, below = 0, 0.0
    while (below := below + math.comb(n, rank) / 2**n) <= OUTSIDE:
        rank += 1
    first = max(rank - 1, 0)
    return Interval(median(ordered), ordered[first], ordered[n - 1 - first], n, is_range=rank == 0)


def ratio_interval(parts: Sequence[float], wholes: Sequence[float], seed: int = 0) -> Interval:
    """The sum of parts over the sum of wholes, by bootstrap over the items that have both: a share
    of things that come several to an item, which are no independent observations."""
    if len(parts) != len(wholes):
        raise ValueError(f"{len(parts)} parts of {len(wholes)} wholes: pairs are needed")
    if not sum(wholes):
        return NOTHING
    import numpy as np

    # The same seed picks the same items for both.
    means = [resampled_means(np.asarray(each, dtype=float), seed) for each in (parts, wholes)]
    return Interval(sum(parts) / sum(wholes), *percentiles(means[0] / means[1]), len(parts))


def resampled_means(values: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """Means of resamples with replacement, in chunks to bound memory."""
    import numpy as np

    random = np.random.default_rng(seed)
    at_once = max(1, 1_000_000 // len(values))
    means = []
    for start in range(0, RESAMPLES, at_once):
        rows = min(at_once, RESAMPLES - start)
        picked = random.integers(0, len(values), size=(rows, len(values)))
        means.append(values[picked].mean(axis=1))
    return np.concatenate(means)


def percentiles(values: NDArray[np.float64]) -> tuple[float, float]:
    import numpy as np

    low, high = np.percentile(values, [100 * OUTSIDE, 100 - 100 * OUTSIDE])
    return float(low), float(high)
