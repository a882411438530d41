"""docs/clients.md, from what the clients did."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from tests.clients.matrix.clients import ERRORS, FEATURES
from tests.clients.matrix.results import Cell, Row

PAGE = Path(__file__).parents[3] / "docs" / "clients.md"
INTRODUCTION = """\
# Clients

Other people's clients against this server, each the real package in an environment of its own. Only
their base URL, key and model name are set; the model's bare name is asked, so every answer is
refined. Made by `make clients`, which runs one program for each client
(`tests/clients/matrix/programs`) against a server on loopback whose engine is scripted: whether a
client understands the server does not depend on how good a model is. So a tool call and an object
of a schema are here what the server hands on, not what a model manages to write.

"""
ERROR_TEXT = """
## Errors

The client's own exception for each error, without retries: an instruction longer than the window
(400), a key that is not one of the server's (401), a server without a free place (429).

"""


def render(rows: Sequence[Row]) -> str:
    features = _table(rows, FEATURES, lambda cell: "yes" if cell["works"] else "**no**")
    errors = _table(rows, ERRORS, lambda cell: f"`{cell['detail']}`" if cell["works"] else "**no**")
    return f"{INTRODUCTION}{features}{ERROR_TEXT}{errors}{_failures(rows)}"


def _table(rows: Sequence[Row], names: Sequence[str], show: Callable[[Cell], str]) -> str:
    lines = [f"| client | {' | '.join(names)} |", f"|---|{'---|' * len(names)}"]
    for row in rows:
        cells = [show(row["cells"][name]) if name in row["cells"] else "" for name in names]
        package = f"{row['client']} (`{row['package']}` {row['version']})"
        lines.append(f"| {package} | {' | '.join(cells)} |")
    lines.append("")
    return "\n".join(lines) + "\nAn empty cell: the client has no such thing, or hides it.\n"


def _failures(rows: Sequence[Row]) -> str:
    said = [
        f"- {row['client']}, {name}: {cell['detail']}"
        for row in rows
        for name, cell in row["cells"].items()
        if not cell["works"]
    ]
    return "\n".join(["", "## What does not work", "", *said, ""]) if said else ""
