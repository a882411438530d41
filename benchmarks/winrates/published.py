"""Published win rates, recomputed from the annotations they were published with."""

from __future__ import annotations

import argparse
import math
from typing import Any

from redraft.benchmarks.output.results import Result, Table, publish
from redraft.benchmarks.winrates.alpaca import name_of, read_annotations, read_published
from redraft.benchmarks.winrates.length_control import read_gamed
from redraft.benchmarks.winrates.preference import win_rate

# How far a recomputed figure may be from the one published for the same annotations.
RAW_TOLERANCE, CONTROLLED_TOLERANCE = 1e-6, 0.1


def verify_step(options: argparse.Namespace) -> int:
    published, gamed = read_published(options.published), read_gamed(options.gamed)
    rows: list[tuple[Any, ...]] = []
    failed = 0
    for path in options.files:
        name = name_of(path)
        expected = published.get(name, {})
        rate = win_rate(read_annotations(path), gamed, 0)
        raw_expected, lc_expected = expected.get("win_rate"), expected.get(options.lc_column)
        if lc_expected is None and rate.controlled is None:
            lc_expected = 50.0
        if raw_expected is None or lc_expected is None:
            failed += 1
            rows.append((name, rate.rate, None, rate.controlled_rate, None, "not published"))
            continue
        found_lc = math.nan if rate.controlled_rate is None else rate.controlled_rate
        raw, controlled = rate.rate - raw_expected, found_lc - lc_expected
        good = abs(raw) <= RAW_TOLERANCE and abs(controlled) <= CONTROLLED_TOLERANCE
        failed += not good
        verdict = "same" if good else "DIFFERENT"
        rows.append((name, rate.rate, raw, rate.controlled_rate, controlled, verdict))
    columns = ("model", "win %", "off by", "LC win %", "off by", "verdict")
    note = f"Allowed: {RAW_TOLERANCE:g} and {CONTROLLED_TOLERANCE:g} points."
    worst = max((abs(row[4]) for row in rows if row[4] is not None), default=None)
    figures = {"models": len(rows), "same": len(rows) - failed, "worst_lc_difference": worst}
    about = "Published win rates, recomputed from the annotations they were published with."
    table = Table("Recomputed and published", columns, tuple(rows), note)
    failures = {"different": failed} if failed else {}
    config = {key: value for key, value in vars(options).items() if key != "step"}
    result = Result("verify", about, config, figures, failures, (table,))
    publish(result, options.out)
    return 1 if failed else 0
