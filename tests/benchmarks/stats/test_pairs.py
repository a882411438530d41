"""Paired comparisons: exact tests, and pairing that finds what pooling cannot."""

from __future__ import annotations

import random

import pytest

pytest.importorskip("numpy", reason="the bench extra is not installed")

from redraft.benchmarks.stats.intervals import mean_interval
from redraft.benchmarks.stats.pairs import compare, flips, sign_test


def test_the_sign_test_is_exact_and_two_sided() -> None:
    assert sign_test(8, 2) == pytest.approx(2 * (1 + 10 + 45) / 1024)
    assert sign_test(2, 8) == sign_test(8, 2)
    assert sign_test(5, 5) == 1
    assert sign_test(0, 0) == 1


def test_the_sign_test_takes_thousands_of_pairs() -> None:
    assert sign_test(3000, 2000) < 1e-40


def test_a_small_steady_difference_is_found_under_large_differences_between_items() -> None:
    noise = random.Random(2)
    difficulty = [noise.uniform(0, 100) for _ in range(200)]
    theirs = [value + noise.gauss(0, 1) for value in difficulty]
    ours = [value + 0.5 + noise.gauss(0, 1) for value in difficulty]
    result = compare(ours, theirs, seed=3)
    assert result.difference.low > 0
    # Unpaired, the two cannot be told apart.
    assert mean_interval(ours).low < mean_interval(theirs).high
    assert result == compare(ours, theirs, seed=3)


def test_ties_count_for_nobody() -> None:
    result = compare([1, 1, 0, 1], [1, 0, 1, 1])
    assert (result.wins, result.ties, result.losses) == (1, 2, 1)
    assert result.p_value == 1


def test_values_without_a_partner_are_refused() -> None:
    with pytest.raises(ValueError, match="2 values against 1"):
        compare([1, 2], [1])


def test_flips_are_counted_by_direction() -> None:
    before = [True] * 40 + [False] * 60
    after = [True] * 38 + [False] * 2 + [True] * 20 + [False] * 40
    result = flips(before, after)
    assert (result.wrong_to_right, result.right_to_wrong) == (20, 2)
    assert result.recovery == pytest.approx(20 / 60)
    assert result.disruption == pytest.approx(2 / 40)
    assert result.p_value == sign_test(20, 2)
