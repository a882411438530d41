"""The plots of the measurements: SVG files, legible in print and on a phone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from redraft.benchmarks.stats.intervals import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 4.8  # inches: on a phone hardly made smaller
FAR = 20.0  # times
MANY = 8  # ticks
COLOURS = ("#2463b0", "#c8501e", "#3a8550", "#8a4a9e", "#84702a", "#5a6472", "#c2418a")
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "redraft",  # the same plot is the same file
    "svg.fonttype": "none",  # text stays text: sharp, small, searchable
    "font.size": 10.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.alpha": 0.25,
}


def _drawing(height: float) -> tuple[Figure, Axes]:
    """An empty figure of this height in inches, in the style of all plots."""
    from cycler import cycler
    from matplotlib import rcParams
    from matplotlib.figure import Figure

    rcParams.update({**STYLE, "axes.prop_cycle": cycler(color=COLOURS)})
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.subplots()


def _rows(height: float, label: str) -> tuple[Figure, Axes]:
    """An empty figure for horizontal bars, the first of them on top."""
    figure, axes = _drawing(height)
    axes.invert_yaxis()
    axes.set_xlabel(label)
    axes.grid(axis="y", visible=False)
    return figure, axes


def bars(path: Path, values: Mapping[str, Interval], label: str, line: float | None = None) -> str:
    """Horizontal bars with intervals; returns the name of the file."""
    figure, axes = _rows(0.9 + 0.42 * len(values), label)
    estimates = [v.estimate for v in values.values()]
    axes.barh(list(values), estimates, xerr=_reach(list(values.values())), capsize=3, height=0.6)
    if line is not None:
        axes.axvline(line, color="#5a6472", linestyle="--", linewidth=1)
    return _save(figure, path)


def stacked(path: Path, rows: Mapping[str, Mapping[str, float]], label: str) -> str:
    """One horizontal bar for each name, divided into parts: {name: {part: size}}."""
    figure, axes = _rows(1.2 + 0.42 * len(rows), label)
    parts = list(dict.fromkeys(part for row in rows.values() for part in row))
    left = [0.0] * len(rows)
    for part in parts:
        sizes = [row.get(part, 0.0) for row in rows.values()]
        axes.barh(list(rows), sizes, left=left, label=part, height=0.6)
        left = [start + size for start, size in zip(left, sizes, strict=True)]
    figure.legend(loc="outside upper center", ncols=min(len(parts), 4), frameon=False)
    return _save(figure, path)


def lines(
    path: Path,
    series: Mapping[str, Sequence[tuple[float, Interval]]],
    labels: tuple[str, str],
    logarithmic: bool = False,
    whole: bool = False,
) -> str:
    """A line with intervals for each name: {name: [(x, y), ...]}. ``whole``: x counts things."""
    figure, axes = _drawing(4.0)
    for name, points in series.items():
        heights = [y for _, y in points]
        axes.errorbar(
            [x for x, _ in points],
            [y.estimate for y in heights],
            yerr=_reach(heights),
            label=name,
            marker="o",
            markersize=4,
            capsize=3,
        )
    if logarithmic:
        ticks = sorted({x for points in series.values() for x, _ in points})
        if all(x == round(x) for x in ticks) and len(ticks) < MANY:
            axes.set_xscale("log", base=2)
            axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        else:
            _decades(axes)
    if whole:
        from matplotlib.ticker import MaxNLocator

        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel(labels[0])
    axes.set_ylabel(labels[1])
    axes.set_ylim(bottom=0)
    if len(series) > 1:
        figure.legend(loc="outside upper center", ncols=2, frameon=False)
    return _save(figure, path)


def scatter(
    path: Path,
    points: Mapping[str, tuple[float, Interval]],
    labels: tuple[str, str],
    from_zero: bool = True,
) -> str:
    """One named point with its interval each: {name: (x, y)}. Where the x are far apart, the axis
    is logarithmic."""
    figure, axes = _drawing(4.4)
    for x, y in points.values():
        axes.errorbar([x], [y.estimate], yerr=_reach([y]), marker="o", markersize=5, capsize=3)
    axes.set_xlabel(labels[0])
    axes.set_ylabel(labels[1])
    xs = [x for x, _ in points.values()]
    if xs and min(xs) > 0 and max(xs) > FAR * min(xs):
        _decades(axes)
        axes.set_xlim(min(xs) / 1.5, max(xs) * 4)
    else:
        axes.margins(x=0.35)
        if from_zero:
            axes.set_xlim(left=0)
    _name(figure, axes, points)
    return _save(figure, path)


def _name(figure: Figure, axes: Axes, points: Mapping[str, tuple[float, Interval]]) -> None:
    """Label each point, moving labels up where they would overlap."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # or the names would move what they are beside
    placed: list[tuple[float, float]] = []
    width, height = figure.bbox.width, 12 * figure.dpi / 72
    at = {name: axes.transData.transform((x, y.estimate)) for name, (x, y) in points.items()}
    for name, (x, y) in sorted(at.items(), key=lambda item: float(item[1][1])):
        above = float(y)
        while any(abs(above - o) < height and abs(x - left) < width / 3 for left, o in placed):
            above += 1
        placed.append((float(x), above))
        offset = (7 * 72 / figure.dpi, (above - float(y)) * 72 / figure.dpi - 3)
        point = (points[name][0], points[name][1].estimate)
        axes.annotate(name, point, xytext=offset, textcoords="offset points", fontsize=9)


def _decades(axes: Axes) -> None:
    """A logarithmic x axis with plain numbers instead of powers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(10, (1, 3), numticks=6))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _reach(values: Sequence[Interval]) -> list[list[float]]:
    return [
        [max(0.0, v.estimate - v.low) for v in values],
        [max(0.0, v.high - v.estimate) for v in values],
    ]


def _save(figure: Figure, path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="svg", metadata={"Date": None})
    return path.name
