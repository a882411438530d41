"""The table and the plot of win rates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from redraft.benchmarks.data import GAMED
from redraft.benchmarks.output.plots import bars
from redraft.benchmarks.output.results import Result, Table, publish
from redraft.benchmarks.winrates.annotation_files import AnnotationSet
from redraft.benchmarks.winrates.preference import WinRate, win_rate
from redraft.server.options import option


@dataclass(frozen=True, kw_only=True)
class RateOptions:
    seed: int = option("of the bootstrap, and of the judge", 0)
    gamed: Path = option("df_gamed.csv; default: a reconstruction of it", GAMED)
    resamples: int = option("for the length-controlled interval", 200, least=0)
    max_unjudged: float = option("share above which the exit code is 1", 0.01)
    out: Path = option("folder for the results", Path("runs/winrate"))


def report(
    options: RateOptions,
    sets: Mapping[str, AnnotationSet],
    failures: Mapping[str, int],
) -> None:
    """Publish the win rate of every system."""
    from redraft.benchmarks.winrates.length_control import read_gamed

    gamed = read_gamed(options.gamed)
    rates = {
        name: win_rate(each.annotations, gamed, options.resamples, options.seed)
        for name, each in sets.items()
    }
    intervals = {}
    for name, rate in rates.items():
        intervals[name] = rate.interval
        if rate.controlled.found:
            intervals[f"{name}, length-controlled"] = rate.controlled.found.interval
    plot = bars(options.out / "winrate.svg", intervals, "win rate against the reference, %", 50)
    figures = {
        name: rate.json()
        | {"copies": sets[name].copies, "missing": sets[name].missing, "moved": sets[name].moved}
        for name, rate in rates.items()
    }
    about = "Win rate against the reference's answers, raw and length-controlled."
    tables = (_table(rates, sets),)
    result = Result("winrate", about, asdict(options), figures, failures, tables, (plot,))
    publish(result, options.out)


def _table(rates: Mapping[str, WinRate], sets: Mapping[str, AnnotationSet]) -> Table:
    rows = tuple(
        (
            name,
            rate.interval,
            rate.standard_error,
            rate.controlled.cell,
            rate.controlled.standard_error,
            rate.by_instruction.cell,
            rate.by_instruction.standard_error,
            f"{rate.wins}/{rate.ties}/{rate.losses}",
            rate.unjudged,
            round(rate.length),
        )
        for name, rate in rates.items()
    )
    controlled = ("LC win %, as published", "s.e.", "LC win %, by instruction", "s.e.")
    columns = ("system", "win %", "s.e.", *controlled, "w/t/l", "unjudged", "characters")
    return Table("Win rate", columns, rows, " ".join(_notes(rates, sets)))


def _notes(rates: Mapping[str, WinRate], sets: Mapping[str, AnnotationSet]) -> Iterator[str]:
    yield "95% bootstrap intervals over instructions."
    if any(rate.controlled is not rate.by_instruction for rate in rates.values()):
        yield (
            "Length control looks up how hard an instruction is: as published, by the row of the "
            "file, as AlpacaEval's code does for its leaderboard; by instruction, by what the row "
            "holds. Where rows are missing or out of order the second is right."
        )
    for name, rate in rates.items():
        if reason := rate.controlled.reason:
            which = "LC rate" if rate.by_instruction.reason else "LC rate as published"
            yield f"No {which} of {name}: {reason}."
        if remarks := "; ".join(sets[name].remarks()):
            yield f"{name}: {remarks}."
