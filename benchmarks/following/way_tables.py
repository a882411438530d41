"""The tables of several ways of answering."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from redraft.benchmarks.following.figures import LEVELS
from redraft.benchmarks.following.several_ways import DIRECT
from redraft.benchmarks.following.way_figures import STRICT, Pairing
from redraft.benchmarks.output.results import Cell, Table
from redraft.benchmarks.stats.pairs import p_shown

SHOWN = ("best of 1", "best of 2", "best of 4", "best of 8")  # of all numbers of drafts


def every_way(figures: Mapping[str, Any], title: str, one_level: bool) -> Table:
    """``one_level``: an answer is right or wrong, and no more is known."""
    levels = (STRICT,) if one_level else LEVELS
    rows: list[tuple[Cell, ...]] = []
    for name, each in figures.items():
        if name.startswith("best of") and name not in SHOWN:
            continue
        compared: tuple[Cell, ...] = (None, None, None)
        if name != DIRECT:
            flipped = each["flips"]
            gain = each["gain_on_direct"][STRICT]
            compared = (gain, flipped.shown, p_shown(flipped.p_value))
        rows.append((name, *(each["met"][level] for level in levels), *compared, each["tokens"]))
    shares = ("right %",) if one_level else tuple(f"{level} %" for level in levels)
    gained = "gain on direct, points" if one_level else f"gain on direct, {STRICT}, points"
    note = (
        "All rows are of the same prompts, 95% intervals, differences paired by prompt. "
        "Mended/spoiled: answers made right and made wrong, against direct; p: McNemar's exact "
        "test. Tokens: generated for one answer, in the mean, all phases and drafts. Best of: by "
        "the model's own score; best of 1 is one sampled draft, direct is greedy."
    )
    columns = ("way", *shares, gained, "mended/spoiled", "p", "tokens")
    return Table(title, columns, tuple(rows), note)


def equal_tokens(pairings: Mapping[tuple[str, str], Pairing], title: str) -> Table:
    note = (
        "Equal tokens: the choice among the fewest drafts that cost at least as many tokens in the "
        "mean, scores included; the most drafts where none cost as much, which the last column "
        "shows by a number above zero."
    )
    return _paired(pairings, title, ("way", "against"), note)


def iterations(pairings: Mapping[tuple[str, str], Pairing], title: str) -> Table:
    note = "Up to so many iterations, against one less: a loop that ended before keeps its answer."
    return _paired(pairings, title, ("up to", "against"), note)


def _paired(
    pairings: Mapping[tuple[str, str], Pairing], title: str, names: tuple[str, str], note: str
) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (*pair, each.ahead, each.flipped.shown, p_shown(each.flipped.p_value), each.dearer)
        for pair, each in pairings.items()
    ]
    more = ("ahead by, points", "mended/spoiled", "p", "tokens more")
    return Table(title, (*names, *more), tuple(rows), note)
