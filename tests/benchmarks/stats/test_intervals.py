"""Confidence intervals: known values, edges, and that the same seed gives the same one."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("numpy", reason="the bench extra is not installed")

from redraft.benchmarks.stats.intervals import (
    mean_interval,
    median_interval,
    ratio_interval,
    wilson,
)


def test_wilson_gives_the_textbook_values() -> None:
    result = wilson(81, 263)  # Newcombe 1998, table I
    assert (result.low, result.high) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(15, 148).low == pytest.approx(0.0624, abs=5e-5)
    assert wilson(15, 148).high == pytest.approx(0.1605, abs=5e-5)


def test_wilson_has_width_where_nothing_or_everything_succeeded() -> None:
    assert wilson(0, 20).low == 0
    assert wilson(0, 20).high == pytest.approx(0.1611, abs=5e-5)
    assert wilson(20, 20).high == 1


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_a_share_lies_in_its_interval_and_the_interval_in_zero_to_one(
    case: tuple[int, int],
) -> None:
    result = wilson(*case)
    assert 0 <= result.low <= result.estimate <= result.high <= 1


def test_no_observations_give_no_number() -> None:
    assert wilson(0, 0).n == mean_interval([]).n == median_interval([]).n == 0
    assert math.isnan(wilson(0, 0).estimate)


def test_more_successes_than_trials_is_refused() -> None:
    with pytest.raises(ValueError, match="3 successes among 2"):
        wilson(3, 2)


def test_a_bootstrap_interval_is_about_two_standard_errors_wide_and_repeats_with_its_seed() -> None:
    noise = random.Random(4)
    values = [noise.gauss(10, 2) for _ in range(400)]
    result = mean_interval(values, seed=1)
    assert result == mean_interval(values, seed=1)
    assert result.low < result.estimate < result.high
    assert result.high - result.low == pytest.approx(2 * 1.96 * 2 / 20, rel=0.15)


def test_a_median_interval_is_the_order_statistics_that_hold_it_with_95_percent() -> None:
    # n = 10: the second and the ninth, which hold the median with 97.9%.
    result = median_interval([float(value) for value in range(1, 11)])
    assert (result.low, result.estimate, result.high) == (2, 5.5, 9)


def test_too_few_values_give_their_whole_range_and_call_it_one() -> None:
    few = median_interval([3.0, 1.0, 2.0, 5.0, 4.0])
    assert (few.low, few.high) == (1, 5)
    assert few.shown() == "3.0 (range 1.0 to 5.0)"
    assert few.scaled(100).shown(0) == "300 (range 100 to 500)"
    assert few.json()["is_range"] is True
    enough = median_interval([3.0, 1.0, 2.0, 5.0, 4.0, 6.0])
    assert enough.shown() == "3.5 [1.0, 6.0]"
    assert "is_range" not in enough.json()


def test_a_ratio_is_of_sums_and_its_interval_over_items() -> None:
    ratio = ratio_interval([1, 0, 2], [2, 1, 3])
    assert ratio.estimate == 0.5
    assert ratio.low <= ratio.estimate <= ratio.high
    assert ratio.n == 3
    # Items that are all alike leave nothing to chance.
    assert ratio_interval([1] * 9, [2] * 9).low == ratio_interval([1] * 9, [2] * 9).high == 0.5
    assert ratio_interval([], []).n == 0
