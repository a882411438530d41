"""Everything measured as a Markdown page, for a repository that holds the results."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from redraft.benchmarks.output.results import Table

SPECIAL = re.compile(r"(\||<(?=[a-zA-Z/!]))")  # in a cell: the end of it, and the start of a tag


def page(title: str, results: Mapping[str, tuple[Path, dict[str, Any]]], beside: Path) -> str:
    """``results``: by their title, each with its folder; ``beside``: the page's folder."""
    contents = [
        f"- [{name}](#{_anchor(name)}): {one['about']}" for name, (_, one) in results.items()
    ]
    parts = [f"# {title}", "\n".join(contents)]
    for name, (folder, result) in results.items():
        plots = [f"![{plot}]({_link(folder / plot, beside)})" for plot in result["plots"]]
        parts += [f"## {name}", f"{result['about']} **{failures(result)}**"]
        parts += [*map(_table, result["tables"]), *plots]
        parts.append(_configuration(result))
    return "\n\n".join(parts) + "\n"


def failures(result: Mapping[str, Any]) -> str:
    counted = ", ".join(f"{reason} {count}" for reason, count in result["failures"].items())
    return f"Failures: {counted}." if counted else "No failures."


def _table(content: Mapping[str, Any]) -> str:
    rows = tuple(tuple(SPECIAL.sub(r"\\\1", cell) for cell in row) for row in content["rows"])
    return Table(content["title"], tuple(content["columns"]), rows, content["note"]).markdown()


def _configuration(result: Mapping[str, Any]) -> str:
    config = json.dumps(result["config"], indent=1)
    made = f"{result['made']}, {result.get('machine', '')}"
    inside = f"{made}\n\n```json\n{config}\n```"
    return f"<details><summary>Configuration</summary>\n\n{inside}\n\n</details>"


def _anchor(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _link(path: Path, beside: Path) -> str:
    return Path(os.path.relpath(path, beside)).as_posix()
