"""Files of one JSON object in each line, as their user wrote them: what is wrong is told by its
line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class WrongLine(ValueError):
    """A line that cannot be used; the message says which, what it lacks and what it holds."""

    def __init__(self, where: str, needs: str, line: str) -> None:
        shown = line if len(line) <= 80 else f"{line[:80]}..."
        super().__init__(f"{where} needs {needs}, got {shown}")


def read_rows(path: Path) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Where each line is, its text, and what it holds; empty lines are passed over."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            row = json.loads(line)
        except ValueError as error:
            raise WrongLine(where, "a JSON object", line) from error
        if not isinstance(row, dict):
            raise WrongLine(where, "a JSON object", line)
        yield where, line, row
