"""The lines of a server's trace store, as they stand in its files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from redraft.server import jsonl


def stored_lines(directory: Path) -> list[dict[str, Any]]:
    files = sorted(directory.glob("*.jsonl"))
    return [row for file in files for row in jsonl.read(file, torn_end=True)]
