"""Published win rates, recomputed from the annotations they were published with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from redraft.benchmarks.commands.options import read
from redraft.benchmarks.data import GAMED
from redraft.benchmarks.output.results import Result, Table, publish
from redraft.benchmarks.winrates.alpaca import name_of, read_annotations, read_published
from redraft.benchmarks.winrates.preference import win_rate
from redraft.server.options import option

# How far a recomputed figure may be from the one published for the same annotations.
RAW_TOLERANCE, CONTROLLED_TOLERANCE = 1e-6, 0.1


@dataclass(frozen=True, kw_only=True)
class VerifyOptions:
    files: tuple[Path, ...] = option("annotations", positional="FILE")
    published: Path = option(".csv leaderboard or .json")
    lc_column: str = option("what the LC rate must be", "length_controlled_winrate")
    gamed: Path = option("df_gamed.csv; default: a reconstruction of it", GAMED)
    out: Path = option("folder for the results", Path("runs/winrate"))


def main(arguments: Sequence[str]) -> int:
    options = read(VerifyOptions, "winrate verify", arguments, __doc__)
    from redraft.benchmarks.winrates.length_control import read_gamed

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
        our_lc = math.nan if rate.controlled_rate is None else rate.controlled_rate
        raw, controlled = rate.rate - raw_expected, our_lc - lc_expected
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
    result = Result("verify", about, asdict(options), figures, failures, (table,))
    publish(result, options.out)
    return 1 if failed else 0
