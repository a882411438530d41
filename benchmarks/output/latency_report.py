"""The tables and plots of the latency measurement."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from redraft.benchmarks.load.timing import Batch, LoadCell, Summary, goodput, ratio, summarise
from redraft.benchmarks.output.plots import lines, stacked
from redraft.benchmarks.output.results import Cell, Result, Table, publish
from redraft.benchmarks.stats.intervals import MEDIANS, NOTHING, Interval, median_interval

OURS = "redraft"
# Ours with which a system is compared, where it is not a loop's.
COUNTERPARTS = {"fusion": "candidates"}
SETTING = ("prompt", "iterations", "at once")
PHASES = ("draft", "feedback", "refinement")


@dataclass(frozen=True, slots=True)
class CellBatches:
    """The batches of one system in one cell, by repeat."""

    cell: LoadCell
    system: str
    batches: Sequence[Batch]
    summary: Summary


def report(
    out: Path,
    config: Mapping[str, Any],
    cells: Sequence[LoadCell],
    batches: Sequence[Batch],
    failures: Counter[str],
    answer_within_s: float,
    total_within_s: float,
) -> None:
    measured = list(_grouped(cells, batches))
    ratios = {
        cell.name: against([each for each in measured if each.cell == cell]) for cell in cells
    }
    closed = [each for each in measured if not each.cell.rate]
    opened = [each for each in measured if each.cell.rate]
    tables, plots = [], []
    if closed:
        tables += [_times(closed), _ratios(cells, ratios), _phases(closed)]
        plots += _closed_plots(out, closed)
    if opened:
        table, plot = _open_loop(out, opened, answer_within_s, total_within_s)
        tables.append(table)
        plots.append(plot)
    figures = {
        cell.name: {
            "setting": asdict(cell),
            "systems": {each.system: each.summary for each in measured if each.cell == cell},
            "ratios": ratios[cell.name],
        }
        for cell in cells
    }
    samples = [
        {"system": batch.system, "cell": batch.cell, "repeat": batch.repeat, **timing.json()}
        for batch in batches
        for timing in batch.timings
    ]
    about = (
        "Time of a refined answer: Redraft, one uninterrupted generation of as many tokens (the "
        "floor), and the same loop without Redraft."
    )
    result = Result(
        "latency", about, config, figures, failures, tuple(tables), tuple(plots), samples, ratios
    )
    publish(result, out)


def _grouped(cells: Sequence[LoadCell], batches: Sequence[Batch]) -> Sequence[CellBatches]:
    grouped: dict[tuple[str, str], list[Batch]] = {}
    for batch in sorted(batches, key=lambda batch: batch.repeat):
        grouped.setdefault((batch.cell, batch.system), []).append(batch)
    systems = dict.fromkeys(batch.system for batch in batches)
    return [
        CellBatches(cell, system, group, summarise(group))
        for cell in cells
        for system in systems
        if (group := grouped.get((cell.name, system)))
    ]


def against(measured: Sequence[CellBatches]) -> dict[str, dict[str, Interval]]:
    """The ratios of one cell by other system: our time per token over theirs, our answers a
    second over theirs, their time to the first token and to the answer over ours."""
    systems = {each.system: each.batches for each in measured}
    pairs = {
        system: (systems.get(COUNTERPARTS.get(system, OURS), ()), theirs)
        for system, theirs in systems.items()
        if system not in (OURS, *COUNTERPARTS.values())
    }
    return {
        system: _compared(ours, theirs)
        for system, (ours, theirs) in pairs.items()
        if len(theirs) == len(ours)
    }


def _compared(ours: Sequence[Batch], theirs: Sequence[Batch]) -> dict[str, Interval]:
    def ours_over_theirs(figure: Callable[[Batch], float]) -> Interval:
        return ratio(list(map(figure, ours)), list(map(figure, theirs)))

    return {
        "time_per_token": ours_over_theirs(lambda batch: batch.seconds_per_token),
        "answers_per_s": ours_over_theirs(lambda batch: batch.answers_per_s),
        "their_first_token": ratio(
            [batch.first_token_s for batch in theirs], [batch.first_token_s for batch in ours]
        ),
        "their_answer": ratio(
            [batch.answer_s for batch in theirs], [batch.answer_s for batch in ours]
        ),
        "cpu_per_token": ours_over_theirs(lambda batch: batch.cpu_per_token),
        "server_cpu_per_token": ours_over_theirs(lambda batch: batch.server_cpu_per_token),
    }


def _times(measured: Sequence[CellBatches]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for each in measured:
        summary = each.summary
        times = (_ms(summary.first_token_s), _ms(summary.first_answer_s), _ms(summary.total_s))
        cpu = (_ms(summary.cpu_per_token_s, 2), _ms(summary.server_cpu_per_token_s, 3))
        counts = (round(summary.tokens_per_answer), summary.failed)
        rows.append((*each.cell.columns, each.system, *times, summary.tokens_per_s, *cpu, *counts))
    columns = (*SETTING, "system", "first token, ms", "first answer token, ms", "whole answer, ms")
    more = ("tokens/s", "CPU per token, ms", "without the engine", "tokens each", "failed")
    return Table("Time of an answer", columns + more, tuple(rows), MEDIANS)


def _ratios(
    cells: Sequence[LoadCell], ratios: Mapping[str, Mapping[str, Mapping[str, Interval]]]
) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for cell in (cell for cell in cells if not cell.rate):
        for system, compared in ratios[cell.name].items():
            rows.append((*cell.columns, system, *map(_digits, compared.values())))
    figures: tuple[str, ...] = ("our time per token / theirs", "our answers per s / theirs")
    figures += ("their first token / ours", "their whole answer / ours")
    figures += ("our CPU per token / theirs", "without the engine")
    note = f"Ratios of batches of the same repeat, over repeats. {MEDIANS}"
    columns = (*SETTING, "against", *figures)
    return Table("Redraft against the others", columns, tuple(rows), note)


def _phases(measured: Sequence[CellBatches]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for each in measured:
        spent = each.summary.phases_s
        if each.system == OURS and spent:
            rows.append((*each.cell.columns, *(f"{1000 * spent.get(p, 0.0):.0f}" for p in PHASES)))
    columns = (*SETTING, *(f"{phase}, ms" for phase in PHASES))
    return Table("Redraft by phase", columns, tuple(rows), "Median seconds in each kind of phase.")


def _closed_plots(out: Path, measured: Sequence[CellBatches]) -> list[str]:
    """Throughput by concurrency and phases by iterations, at the middle prompt length."""
    lengths = sorted({each.cell.prompt_tokens for each in measured})
    middle = [each for each in measured if each.cell.prompt_tokens == lengths[len(lengths) // 2]]
    steps = sorted({each.cell.iterations for each in measured})
    iterations = 1 if 1 in steps else steps[-1]
    series: dict[str, list[tuple[float, Interval]]] = {each.system: [] for each in measured}
    for each in middle:
        if each.cell.iterations == iterations:
            series[each.system].append((each.cell.concurrency, each.summary.answers_per_s))
    prompt = f"{lengths[len(lengths) // 2]} prompt tokens"
    labels = (f"requests at once; {prompt}, {iterations} iteration(s)", "answers/s")
    plots = [lines(out / "latency-throughput.svg", series, labels, logarithmic=True)]
    alone = min(each.cell.concurrency for each in measured)
    phased = {
        f"{each.cell.iterations} iterations": each.summary.phases_s
        for each in middle
        if (each.system, each.cell.concurrency) == (OURS, alone)
    }
    if phased:
        label = f"seconds, {prompt}, {alone} at once"
        plots.append(stacked(out / "latency-phases.svg", phased, label))
    return plots


def _open_loop(
    out: Path, measured: Sequence[CellBatches], answer_within_s: float, total_within_s: float
) -> tuple[Table, str]:
    """The table of goodput, and its plot for the first prompt length and number of iterations."""
    rows: list[tuple[Cell, ...]] = []
    series: dict[str, list[tuple[float, Interval]]] = {}
    for each in measured:
        in_time = [goodput(batch, answer_within_s, total_within_s) for batch in each.batches]
        good, summary = median_interval(in_time), each.summary
        times = (_ms(summary.first_answer_s), _ms(summary.total_s))
        rows.append((*each.cell.columns, each.system, _digits(good), *times, summary.failed))
        if each.cell.columns[:2] == measured[0].cell.columns[:2]:
            series.setdefault(each.system, []).append((each.cell.rate, good))
    note = (
        f"In time: first answer token within {answer_within_s:g} s of arrival and the whole "
        f"answer within {total_within_s:g} s. {MEDIANS}"
    )
    columns = ("prompt", "iterations", "arrivals/s", "system", "goodput/s")
    more = ("first answer token, ms", "whole answer, ms", "failed")
    plot = lines(out / "latency-goodput.svg", series, ("arrivals/s", "answers in time/s"))
    return Table("Open loop", columns + more, tuple(rows), note), plot


def _ms(seconds: Interval, digits: int = 0) -> str:
    return seconds.scaled(1000).shown(digits) if seconds.n else "-"


def _digits(value: Interval) -> str:
    return value.shown(2) if value is not NOTHING else "-"
