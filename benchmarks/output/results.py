"""The results of a measurement: a JSON file, plots, tables on the terminal, and one JSON line last
on stdout. ``redraft bench report`` makes a page of these files.

A result always carries its failures and its whole configuration beside its figures; figures
that have one carry their interval.
"""

from __future__ import annotations

import json
import math
import os
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from redraft.benchmarks.stats.intervals import Interval
from redraft.server import jsonl

Cell = str | int | float | Interval | None


@dataclass(frozen=True, slots=True)
class Table:
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""

    def shown(self) -> list[list[str]]:
        return [[shown(cell) for cell in row] for row in self.rows]

    def markdown(self) -> str:
        lines = [list(self.columns), ["---"] * len(self.columns), *self.shown()]
        table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        return "\n\n".join(part for part in (f"### {self.title}", table, self.note) if part)


@dataclass(frozen=True, slots=True)
class Result:
    name: str  # of the measurement, and of its files
    about: str  # one sentence for the reader of the report
    config: Mapping[str, Any]
    figures: Mapping[str, Any]
    failures: Mapping[str, int]
    tables: tuple[Table, ...] = ()
    plots: tuple[str, ...] = ()  # file names beside the JSON
    samples: Sequence[Mapping[str, Any]] = field(default_factory=list)
    headline: Mapping[str, Any] | None = None  # for the last line, where the figures are many

    def json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "about": self.about,
            "made": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": f"{platform.machine()} {platform.system()}, Python "
            f"{platform.python_version()}",
            "config": _from_home(plain(self.config)),
            "figures": plain(self.figures),
            "failures": dict(self.failures),
            "tables": [
                {"title": t.title, "columns": t.columns, "rows": t.shown(), "note": t.note}
                for t in self.tables
            ],
            "plots": list(self.plots),
        }


def publish(result: Result, directory: Path) -> None:
    """Write the files, print the tables and, last, one JSON line."""
    directory.mkdir(parents=True, exist_ok=True)
    if result.samples:
        jsonl.write(directory / f"{result.name}.samples.jsonl", map(plain, result.samples))
    path, content = directory / f"{result.name}.json", result.json()
    text = json.dumps(content, indent=2, allow_nan=False, default=str)
    path.write_text(text + "\n", encoding="utf-8")
    for table in result.tables:
        print(table.markdown(), end="\n\n")
    last = {
        "name": result.name,
        "figures": plain(result.figures if result.headline is None else result.headline),
        "failures": dict(result.failures),
        "config": content["config"],
        "file": str(path),
    }
    print(json.dumps(last, allow_nan=False, default=str), flush=True)


def plain(value: Any) -> Any:
    """A value as JSON can hold it; NaN and infinity become null."""
    if isinstance(value, Interval):
        return plain(value.json())
    if is_dataclass(value):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _from_home(config: Any) -> Any:
    """Paths in the user's home begin with ~: results are made to be shown to others."""
    text, home = json.dumps(config, default=str), os.path.expanduser("~")
    if home in ("/", "~"):  # a container's user may have none
        return json.loads(text)
    return json.loads(re.sub(rf'(?<![\w/.~-]){re.escape(home)}(?=[/"])', "~", text))


def shown(cell: Cell) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, Interval):
        return cell.shown() if cell.n else "-"
    if isinstance(cell, float):
        return f"{cell:.4g}" if math.isfinite(cell) else "-"
    return str(cell)
