"""The length-controlled win rate of AlpacaEval 2.0 (Dubois et al. 2024), as its code computes it.

A logistic regression explains each preference by three things: the difference in length, how hard
the instruction is, and the system. The rate is what it predicts were there no difference in length.
Two "gamed" baselines, the reference told to be brief and to be long, are in the fit at a tenth of
the weight, with no system of their own: they pin what length alone is worth.

The judge's preferences on those baselines are data of the project (df_gamed.csv on its hub). The
copy shipped here was reconstructed from published coefficients: with it the rate of a new model is
off by 0.07 points (median; at most 0.5). Give the original with ``--gamed`` where you have it.

The rate is of AlpacaEval's instructions alone: how hard another one is, nobody has measured.
"""

from __future__ import annotations

import csv
import gzip
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from redraft.benchmarks.data import GAMED
from redraft.benchmarks.stats.intervals import Interval, percentiles
from redraft.benchmarks.winrates.alpaca import Annotation

Array = NDArray[np.float64]

STRENGTHS = np.logspace(-4, 4, 10)  # of the data against the L1 penalty
FOLDS, SEED = 5, 123  # the project's, for the same answer
# Its regularisation of 0.2, shared by two baselines.
GAMED_WEIGHT = 0.1


class NoLengthControl(ValueError):
    """The rate is not defined for these annotations; the message says why."""


@dataclass(frozen=True, slots=True)
class Gamed:
    """The gamed baselines as rows of the regression, and the difficulty of each instruction."""

    features: Array
    wins: Array
    difficulty: Array  # by row of the annotations


@dataclass(frozen=True, slots=True)
class LengthControlled:
    rate: float  # percent
    standard_error: float  # as published: over instructions, the regression taken as exact
    interval: Interval  # bootstrap over instructions with the regression refitted each time


def read_gamed(path: Path = GAMED) -> Gamed:
    content = path.read_bytes()
    text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    difficulty: dict[int, float] = {}
    for row in rows:
        difficulty.setdefault(int(row["index"]), float(row["instruction_difficulty"]))
    features = [
        [math.tanh(float(row["std_delta_len"])), float(row["instruction_difficulty"]), 0.0]
        for row in rows
    ]
    return Gamed(
        np.array(features),
        np.array([float(row["preference"]) for row in rows]),
        np.array([difficulty[index] for index in sorted(difficulty)]),
    )


def length_controlled(
    annotations: Sequence[Annotation], gamed: Gamed, resamples: int
) -> LengthControlled:
    """Raises NoLengthControl where the rate is not defined."""
    judged = [a for a in annotations if a.win is not None]
    lengths = np.array([a.reference_length - a.length for a in judged], dtype=float)
    known = len(gamed.difficulty)
    if strange := sum(not a.alpaca or a.row >= known for a in judged):
        raise NoLengthControl(f"{strange} instructions are not AlpacaEval's")
    if len(judged) < FOLDS:
        raise NoLengthControl(f"{len(judged)} verdicts are fewer than {FOLDS}")
    if not lengths.std():
        raise NoLengthControl("no answer's length differs from its reference's")
    difficulty = gamed.difficulty[[a.row for a in judged]]
    features = np.column_stack(
        [np.tanh(lengths / lengths.std(ddof=1)), difficulty, np.ones(len(judged))]
    )
    wins = np.array([a.win for a in judged])
    strength = chosen_strength(*_together(gamed, features, wins))
    weights = _fit(*_together(gamed, features, wins), strength)
    predicted = _predict(weights, difficulty)
    random = np.random.default_rng(SEED)
    rates = []
    for _ in range(resamples):
        picked = random.integers(0, len(judged), len(judged))
        refitted = _fit(*_together(gamed, features[picked], wins[picked]), strength)
        rates.append(_predict(refitted, difficulty[picked]).mean())
    rate = float(predicted.mean())
    bounds = percentiles(np.array(rates)) if rates else (math.nan, math.nan)
    return LengthControlled(
        100 * rate,
        float(100 * predicted.std(ddof=1) / math.sqrt(len(judged))),
        Interval(rate, *bounds, len(judged)).scaled(100),
    )


def _together(gamed: Gamed, features: Array, wins: Array) -> tuple[Array, Array, Array]:
    """Rows of the regression. The order decides the folds: the baselines come first."""
    weights = np.concatenate([np.full(len(gamed.wins), GAMED_WEIGHT), np.ones(len(wins))])
    return np.vstack([gamed.features, features]), np.concatenate([gamed.wins, wins]), weights


def chosen_strength(features: Array, wins: Array, weights: Array) -> float:
    """The strength with the least held-out loss over the folds."""
    doubled = np.tile(np.arange(len(wins)), 2)
    losses = np.zeros(len(STRENGTHS))
    for train, test in GroupKFold(FOLDS).split(doubled, groups=doubled):
        # Both copies of a row are in the same fold: the first half of the indices says which.
        train, test = train[train < len(wins)], test[test < len(wins)]
        for place, strength in enumerate(STRENGTHS):
            fitted = _fit(features[train], wins[train], weights[train], strength)
            predicted = _logistic(features[test] @ fitted).clip(1e-15, 1 - 1e-15)
            loss = wins[test] * np.log(predicted) + (1 - wins[test]) * np.log(1 - predicted)
            losses[place] -= (weights[test] * loss).mean()
    return float(STRENGTHS[losses.argmin()])


def _fit(features: Array, wins: Array, weights: Array, strength: float) -> Array:
    """Coefficients of a fit in which each preference is a won and a lost row, weighted by it."""
    model = LogisticRegression(
        C=strength, l1_ratio=1.0, solver="liblinear", fit_intercept=False, random_state=SEED
    )
    outcomes = np.concatenate([np.ones(len(wins)), np.zeros(len(wins))])
    shares = np.concatenate([wins * weights, (1 - wins) * weights])
    model.fit(np.vstack([features, features]), outcomes, sample_weight=shares)
    coefficients: Array = model.coef_[0]
    return coefficients


def _predict(weights: Array, difficulty: Array) -> Array:
    return _logistic(weights[1] * difficulty + weights[2])


def _logistic(values: Array) -> Array:
    shares: Array = 1 / (1 + np.exp(-values))
    return shares
