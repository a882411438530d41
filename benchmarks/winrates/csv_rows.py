"""The rows of a CSV file, each with its place; a file that lacks a column is refused."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from redraft.server import jsonl


@dataclass(frozen=True, slots=True)
class CsvRow:
    path: Path
    line: int
    cells: Mapping[str, str]

    def number(self, column: str) -> float:
        try:
            return float(self.cells[column])
        except ValueError as error:
            raise self.error(f"a number in {column}", self.cells[column]) from error

    def whole(self, column: str) -> int:
        try:
            return int(self.cells[column])
        except ValueError as error:
            raise self.error(f"a whole number in {column}", self.cells[column]) from error

    def error(self, expected: str, got: object) -> jsonl.LineError:
        return jsonl.LineError(f"{self.path}:{self.line} needs {expected}, got {got!r}")


def read_csv(path: Path, columns: Sequence[str]) -> Iterator[CsvRow]:
    """Every row of a file with at least these columns, gzipped or not."""
    reader = csv.DictReader(io.StringIO(jsonl.read_text(path), newline=""))
    try:
        header = reader.fieldnames or ()
        if missing := [name for name in columns if name not in header]:
            has = ", ".join(header)[:200] or "nothing"
            raise jsonl.LineError(f"{path}:1 needs the column {missing[0]}, got {has}")
        for row in reader:
            if None in row or None in row.values():
                num_cells = sum(cell is not None for name, cell in row.items() if name is not None)
                raise jsonl.LineError(
                    f"{path}:{reader.line_num} needs {len(header)} cells, got "
                    f"{'more' if None in row else num_cells}"
                )
            yield CsvRow(path, reader.line_num, row)
    except csv.Error as error:
        raise jsonl.LineError(f"{path}:{reader.line_num} needs CSV: {error}") from error
