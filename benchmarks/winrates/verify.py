"""Published win rates, recomputed from the annotations they were published with."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from redraft.benchmarks.commands.options import read
from redraft.benchmarks.data import GAMED
from redraft.benchmarks.output.results import Result, Table, publish
from redraft.benchmarks.winrates.alpaca import name_of, read_published
from redraft.benchmarks.winrates.annotation_files import AnnotationSet, load
from redraft.benchmarks.winrates.preference import EVEN, win_rate
from redraft.server.options import option

if TYPE_CHECKING:
    from redraft.benchmarks.winrates.length_control import Gamed

# How far a recomputed figure may be from the one published for the same annotations.
RAW_TOLERANCE, CONTROLLED_TOLERANCE = 1e-6, 0.1


SAME = "same"


@dataclass(frozen=True, slots=True)
class Checked:
    """One model beside what was published of it; the columns of the table."""

    name: str
    rows: int  # judged
    rows_off: int | None
    rate: float
    rate_off: float | None
    lc_rate: float | None
    lc_off: float | None
    verdict: str


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
    checked = [
        _check(name, each, published.get(name, {}), gamed, options.lc_column)
        for name, each in ((name_of(path), load(path)) for path in options.files)
    ]
    failed = sum(each.verdict != SAME for each in checked)
    columns = ("model", "rows", "off by", "win %", "off by", "LC win %", "off by", "verdict")
    rows = tuple(astuple(each) for each in checked)
    note = (
        f"Length control as published. Allowed: {RAW_TOLERANCE:g} and {CONTROLLED_TOLERANCE:g} "
        "points, and no other number of rows."
    )
    differences = [abs(each.lc_off) for each in checked if each.lc_off is not None]
    figures = {
        "models": len(checked),
        "same": len(checked) - failed,
        "worst_lc_difference": max(differences, default=None),
    }
    about = "Published win rates, recomputed from the annotations they were published with."
    table = Table("Recomputed and published", columns, rows, note)
    failures = {"different": failed} if failed else {}
    result = Result("verify", about, asdict(options), figures, failures, (table,))
    publish(result, options.out)
    return 1 if failed else 0


def _check(
    name: str,
    annotated: AnnotationSet,
    expected: Mapping[str, float | None],
    gamed: Gamed,
    lc_column: str,
) -> Checked:
    rate = win_rate(annotated.annotations, gamed, 0)
    rows = len(annotated.annotations) + annotated.copies - annotated.unjudged
    count, raw, controlled = (expected.get(key) for key in ("n_total", "win_rate", lc_column))
    if controlled is None and rate.controlled.found is None:
        controlled = EVEN
    lc_rate = rate.controlled.rate
    if raw is None or controlled is None:
        return Checked(name, rows, None, rate.rate, None, lc_rate, None, "not published")
    off_by = (
        0 if count is None else rows - round(count),
        rate.rate - raw,
        (math.nan if lc_rate is None else lc_rate) - controlled,
    )
    good = (
        off_by[0] == 0
        and not annotated.copies
        and abs(off_by[1]) <= RAW_TOLERANCE
        and abs(off_by[2]) <= CONTROLLED_TOLERANCE
    )
    verdict = SAME if good else "DIFFERENT"
    return Checked(name, rows, off_by[0], rate.rate, off_by[1], lc_rate, off_by[2], verdict)
