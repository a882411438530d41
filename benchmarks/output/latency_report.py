"""The tables and plots of the latency measurement."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from redraft.benchmarks.load.timing import Batch, LoadCell, Summary, goodput, ratio, summarise
from redraft.benchmarks.output.plots import lines, stacked
from redraft.benchmarks.output.results import Cell as TableCell
from redraft.benchmarks.output.results import Result, Table, publish
from redraft.benchmarks.stats.intervals import NOTHING, Interval, median_interval

OURS = "redraft"
SETTING = ("prompt", "iterations", "at once")
PHASES = ("draft", "feedback", "refinement")
MEDIANS = "Medians; intervals are 95%, by order statistics."


def report(
    out: Path,
    config: Mapping[str, Any],
    cells: Sequence[LoadCell],
    batches: Sequence[Batch],
    failures: Counter[str],
    answer_within_s: float,
    total_within_s: float,
) -> None:
    systems = list(dict.fromkeys(batch.system for batch in batches))
    closed = [cell for cell in cells if not cell.rate]
    opened = [cell for cell in cells if cell.rate]
    tables, plots = [], []
    found = {
        (cell.name, system): summarise(of(batches, cell, system))
        for cell in cells
        for system in systems
        if of(batches, cell, system)
    }
    ratios = {cell.name: against(batches, cell, systems) for cell in cells}
    if closed:
        tables += [_times(closed, systems, found), _ratios(closed, ratios)]
        tables += [_phases(closed, found)]
        plots += _closed_plots(out, closed, systems, found)
    if opened:
        within = (answer_within_s, total_within_s)
        tables.append(_goodput(opened, systems, batches, *within))
        plots.append(_goodput_plot(out, opened, systems, batches, *within))
    figures = {
        cell.name: {
            "setting": asdict(cell),
            "systems": {s: found[cell.name, s].json() for s in systems if (cell.name, s) in found},
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


def of(batches: Sequence[Batch], cell: LoadCell, system: str) -> list[Batch]:
    mine = [batch for batch in batches if batch.cell == cell.name and batch.system == system]
    return sorted(mine, key=lambda batch: batch.repeat)


def against(
    batches: Sequence[Batch], cell: LoadCell, systems: Sequence[str]
) -> dict[str, dict[str, Interval]]:
    """For each other system: our time per token over theirs, our answers a second over theirs,
    their time to the first token over ours."""
    ours = of(batches, cell, OURS)
    found = {}
    for system in systems:
        theirs = of(batches, cell, system)
        if system == OURS or len(ours) != len(theirs):
            continue
        firsts = [
            [
                median_interval([timing.first_token_s for timing in batch.timings]).estimate
                for batch in some
            ]
            for some in (theirs, ours)
        ]
        found[system] = {
            "time_per_token": ratio(
                [batch.seconds_per_token for batch in ours],
                [batch.seconds_per_token for batch in theirs],
            ),
            "answers_per_s": ratio(
                [batch.answers_per_s for batch in ours], [batch.answers_per_s for batch in theirs]
            ),
            "their_first_token": ratio(*firsts),
            "cpu_per_token": ratio(
                [batch.cpu_per_token for batch in ours], [batch.cpu_per_token for batch in theirs]
            ),
            "server_cpu_per_token": ratio(
                [batch.server_cpu_per_token for batch in ours],
                [batch.server_cpu_per_token for batch in theirs],
            ),
        }
    return found


def _times(
    cells: Sequence[LoadCell], systems: Sequence[str], found: Mapping[tuple[str, str], Summary]
) -> Table:
    rows: list[tuple[TableCell, ...]] = []
    for cell in cells:
        for system in systems:
            if summary := found.get((cell.name, system)):
                rows.append(
                    (
                        cell.prompt_tokens,
                        cell.iterations,
                        cell.concurrency,
                        system,
                        _ms(summary.first_token),
                        _ms(summary.first_answer),
                        _ms(summary.total),
                        summary.tokens_per_s,
                        _ms(summary.cpu_per_token, 2),
                        _ms(summary.server_cpu_per_token, 3),
                        round(summary.tokens),
                        summary.failed,
                    )
                )
    columns = (*SETTING, "system", "first token, ms", "first answer token, ms", "whole answer, ms")
    more = ("tokens/s", "CPU per token, ms", "without the engine", "tokens each", "failed")
    return Table("Time of an answer", columns + more, tuple(rows), MEDIANS)


def _ratios(
    cells: Sequence[LoadCell], ratios: Mapping[str, Mapping[str, Mapping[str, Interval]]]
) -> Table:
    rows: list[tuple[TableCell, ...]] = []
    for cell in cells:
        for system, measured in ratios[cell.name].items():
            setting = (cell.prompt_tokens, cell.iterations, cell.concurrency)
            rows.append((*setting, system, *map(_digits, measured.values())))
    compared: tuple[str, ...] = ("our time per token / theirs", "our answers per s / theirs")
    compared += ("their first token / ours", "our CPU per token / theirs", "without the engine")
    columns = (*SETTING, "against", *compared)
    note = "Ratios of batches of the same repeat, median over repeats, and their range."
    return Table("Redraft against the others", columns, tuple(rows), note)


def _phases(cells: Sequence[LoadCell], found: Mapping[tuple[str, str], Summary]) -> Table:
    rows: list[tuple[TableCell, ...]] = []
    for cell in cells:
        summary = found.get((cell.name, OURS))
        if summary and summary.phases:
            spent = summary.phases
            shares = (f"{1000 * spent.get(phase, 0.0):.0f}" for phase in PHASES)
            rows.append((cell.prompt_tokens, cell.iterations, cell.concurrency, *shares))
    columns = (*SETTING, *(f"{phase}, ms" for phase in PHASES))
    return Table("Redraft by phase", columns, tuple(rows), "Median seconds in each kind of phase.")


def _closed_plots(
    out: Path,
    cells: Sequence[LoadCell],
    systems: Sequence[str],
    found: Mapping[tuple[str, str], Summary],
) -> list[str]:
    """At the middle prompt length: throughput by concurrency, phases by iterations."""
    lengths = sorted({cell.prompt_tokens for cell in cells})
    middle = lengths[len(lengths) // 2]
    steps = sorted({cell.iterations for cell in cells})
    iterations = 1 if 1 in steps else steps[-1]
    chosen = [c for c in cells if (c.prompt_tokens, c.iterations) == (middle, iterations)]
    series = {
        system: [
            (float(cell.concurrency), found[cell.name, system].answers_per_s)
            for cell in chosen
            if (cell.name, system) in found
        ]
        for system in systems
    }
    at_once = f"requests at once; {middle} prompt tokens, {iterations} iteration(s)"
    labels = (at_once, "answers/s")
    plots = [lines(out / "latency-throughput.svg", series, labels, logarithmic=True)]
    alone = min(cell.concurrency for cell in cells)
    phased = {
        f"{cell.iterations} iterations": found[cell.name, OURS].phases
        for cell in cells
        if (cell.prompt_tokens, cell.concurrency) == (middle, alone) and (cell.name, OURS) in found
    }
    if phased:
        label = f"seconds, {middle} prompt tokens, {alone} at once"
        plots.append(stacked(out / "latency-phases.svg", phased, label))
    return plots


def _goodput(
    cells: Sequence[LoadCell],
    systems: Sequence[str],
    batches: Sequence[Batch],
    answer_within_s: float,
    total_within_s: float,
) -> Table:
    rows: list[tuple[TableCell, ...]] = []
    for cell in cells:
        for system in systems:
            if mine := of(batches, cell, system):
                good = median_interval([goodput(b, answer_within_s, total_within_s) for b in mine])
                summary = summarise(mine)
                rows.append(
                    (
                        cell.prompt_tokens,
                        cell.iterations,
                        cell.rate,
                        system,
                        _digits(good),
                        _ms(summary.first_answer),
                        _ms(summary.total),
                        summary.failed,
                    )
                )
    columns = ("prompt", "iterations", "arrivals/s", "system", "goodput/s")
    times = ("first answer token, ms", "whole answer, ms", "failed")
    note = (
        f"In time: first answer token within {answer_within_s:g} s of arrival and the whole answer "
        f"within {total_within_s:g} s. {MEDIANS}"
    )
    return Table("Open loop", columns + times, tuple(rows), note)


def _goodput_plot(
    out: Path,
    cells: Sequence[LoadCell],
    systems: Sequence[str],
    batches: Sequence[Batch],
    answer_within_s: float,
    total_within_s: float,
) -> str:
    first = cells[0]
    series: dict[str, list[tuple[float, Interval]]] = {system: [] for system in systems}
    for cell in cells:
        if (cell.prompt_tokens, cell.iterations) == (first.prompt_tokens, first.iterations):
            for system in systems:
                if mine := of(batches, cell, system):
                    good = [goodput(batch, answer_within_s, total_within_s) for batch in mine]
                    series[system].append((cell.rate, median_interval(good)))
    series = {system: points for system, points in series.items() if points}
    return lines(out / "latency-goodput.svg", series, ("arrivals/s", "answers in time/s"))


def _ms(seconds: Interval, digits: int = 0) -> str:
    return seconds.scaled(1000).shown(digits) if seconds.n else "-"


def _digits(value: Interval) -> str:
    return value.shown(2) if value is not NOTHING else "-"
