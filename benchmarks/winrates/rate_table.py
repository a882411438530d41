"""The table and the plot of win rates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from redraft.benchmarks.data import GAMED
from redraft.benchmarks.output.plots import bars
from redraft.benchmarks.output.results import Result, Table, publish
from redraft.benchmarks.winrates.alpaca import Annotation
from redraft.benchmarks.winrates.preference import WinRate, win_rate
from redraft.server.options import option


@dataclass(frozen=True, kw_only=True)
class RateOptions:
    seed: int = option("of the bootstrap, and of the judge", 0)
    gamed: Path = option("df_gamed.csv; default: a reconstruction of it", GAMED)
    resamples: int = option("for the length-controlled interval", 200, least=0)
    out: Path = option("folder for the results", Path("runs/winrate"))


def report(
    options: RateOptions,
    annotations: Mapping[str, Sequence[Annotation]],
    failures: Mapping[str, int],
) -> None:
    """Publish the win rate of every system."""
    from redraft.benchmarks.winrates.length_control import read_gamed

    gamed = read_gamed(options.gamed)
    rates = {
        name: win_rate(rows, gamed, options.resamples, options.seed)
        for name, rows in annotations.items()
    }
    intervals = {}
    for name, rate in rates.items():
        intervals[name] = rate.interval
        if rate.controlled:
            intervals[f"{name}, length-controlled"] = rate.controlled.interval
    plot = bars(options.out / "winrate.svg", intervals, "win rate against the reference, %", 50)
    figures = {name: rate.json() for name, rate in rates.items()}
    about = "Win rate against the reference's answers, raw and length-controlled."
    tables = (_table(rates),)
    result = Result("winrate", about, asdict(options), figures, failures, tables, (plot,))
    publish(result, options.out)


def _table(rates: Mapping[str, WinRate]) -> Table:
    rows = tuple(
        (
            name,
            rate.interval,
            rate.standard_error,
            rate.controlled.interval if rate.controlled else rate.controlled_rate,
            rate.controlled.standard_error if rate.controlled else None,
            f"{rate.wins}/{rate.ties}/{rate.losses}",
            rate.unjudged,
            round(rate.length),
        )
        for name, rate in rates.items()
    )
    columns = ("system", "win %", "s.e.", "LC win %", "s.e.", "w/t/l", "unjudged", "characters")
    reasons = (f"No LC rate of {n}: {r.uncontrolled}." for n, r in rates.items() if r.uncontrolled)
    note = " ".join(["95% bootstrap intervals over instructions.", *reasons])
    return Table("Win rate", columns, rows, note)
