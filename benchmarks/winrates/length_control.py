"""The length-controlled win rate of AlpacaEval 2.0 (Dubois et al. 2024), as its code computes it.

A logistic regression explains each preference by three things: the difference in length, how hard
the instruction is, and the system. The rate is what it predicts were there no difference in length.
Two "gamed" baselines, the reference told to be brief and to be long, are in the fit at a tenth of
the weight, with no system of their own: they pin what length alone is worth.

The judge's preferences on those baselines are data of the project (df_gamed.csv on its hub). The
copy shipped here was reconstructed from published coefficients: with it the rate of a new model is
off by 0.07 points (median; at most 0.5). Give the original with ``--gamed`` where you have it.

How hard an instruction is is looked up in one of two ways. As published: by the row of the file,
as the project's code does, whatever the row holds; a leaderboard's figures are reproduced this way
alone. By instruction: by what the row holds. The two are one where all rows are in place.

The rate is of AlpacaEval's instructions and its reference alone: how hard another instruction is,
and what length alone is worth against another reference, nobody has measured.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from redraft.benchmarks.data import GAMED
from redraft.benchmarks.stats.intervals import Interval, percentiles
from redraft.benchmarks.winrates.alpaca import Annotation
from redraft.benchmarks.winrates.csv_rows import read_csv
from redraft.benchmarks.winrates.known_set import REFERENCE, known_set
from redraft.server.jsonl import FileError

Array = NDArray[np.float64]
Lookup = Literal["as published", "by instruction"]

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
    difficulty: Array  # by position of the instruction in AlpacaEval's set


@dataclass(frozen=True, slots=True)
class LengthControlled:
    rate: float  # percent
    standard_error: float  # as published: over instructions, the regression taken as exact
    interval: Interval  # bootstrap over instructions with the regression refitted each time


def read_gamed(path: Path = GAMED) -> Gamed:
    """FileError for a file that is no df_gamed.csv."""
    columns = ("index", "preference", "std_delta_len", "instruction_difficulty")
    rows = list(read_csv(path, columns))
    difficulty: dict[int, float] = {}
    for row in rows:
        difficulty.setdefault(row.whole("index"), row.number("instruction_difficulty"))
        if not 0 <= row.number("preference") <= 1:
            raise row.error("a preference from 0 to 1", row.cells["preference"])
    if sorted(difficulty) != list(range(len(known_set()))):
        raise FileError(
            f"{path} has the difficulty of {len(difficulty)} instructions, expected AlpacaEval's "
            f"{len(known_set())}"
        )
    features = [
        [math.tanh(row.number("std_delta_len")), row.number("instruction_difficulty"), 0.0]
        for row in rows
    ]
    return Gamed(
        np.array(features),
        np.array([row.number("preference") for row in rows]),
        np.array([difficulty[index] for index in sorted(difficulty)]),
    )


def objection(annotations: Sequence[Annotation]) -> str:
    """Why no length-controlled rate is defined for such annotations; empty where one is."""
    known = [(each, each.known) for each in annotations]
    if strange := sum(own is None for _, own in known):
        return f"{strange} instructions are not AlpacaEval's"
    others = sum(own is not None and own.reference_length != a.reference_length for a, own in known)
    if others:
        return (
            f"{others} reference answers are not those of {REFERENCE}, which its baselines were "
            "compared with"
        )
    return ""


def length_controlled(
    annotations: Sequence[Annotation],
    gamed: Gamed,
    resamples: int,
    lookup: Lookup = "as published",
) -> LengthControlled:
    """Raises NoLengthControl where the rate is not defined."""
    judged = [a for a in annotations if a.win is not None]
    if reason := objection(judged):
        raise NoLengthControl(reason)
    lengths = np.array([a.reference_length - a.length for a in judged], dtype=float)
    places = [a.known.position for a in judged if a.known]
    if lookup == "as published":
        places = [a.row for a in judged]
    known = len(gamed.difficulty)
    if beyond := sum(place >= known for place in places):
        raise NoLengthControl(f"{beyond} rows are beyond the {known} of AlpacaEval's own files")
    if len(judged) < FOLDS:
        raise NoLengthControl(f"{len(judged)} verdicts are fewer than {FOLDS}")
    if not lengths.std():
        raise NoLengthControl("no answer's length differs from its reference's")
    difficulty = gamed.difficulty[places]
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
