"""docs/clients.md, from what the clients did."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from tests.clients.matrix.clients import ERRORS, FEATURES, STRUCTURE
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
STRUCTURE_TEXT = """
## Structure, on a real model

An object of a schema whose texts have a largest size (`maxLength`, `maxItems`), asked of `redraft
serve smollm2` on real vLLM in the client's own way, and parsed by the client: from the bare name,
refined, and from `smollm2:direct`. `python -m tests.clients.matrix structure` asks again.

"""
ERROR_TEXT = """
## Errors

The client's own exception for each error, without retries: an instruction longer than the window
(400), a key that is not one of the server's (401), a server without a free place (429).

"""


def render(rows: Sequence[Row]) -> str:
    features = _table(rows, FEATURES, _yes)
    asked = [{**row, "cells": row["structure"]} for row in rows if "structure" in row]
    structure = _table(asked, STRUCTURE, _yes)
    errors = _table(rows, ERRORS, lambda cell: f"`{cell['detail']}`" if cell["works"] else "**no**")
    failures = _failures([*rows, *asked])
    return f"{INTRODUCTION}{features}{STRUCTURE_TEXT}{structure}{ERROR_TEXT}{errors}{failures}"


def _yes(cell: Cell) -> str:
    return "yes" if cell["works"] else "**no**"


def _table(rows: Sequence[Row], names: Sequence[str], show: Callable[[Cell], str]) -> str:
    lines = [f"| client | {' | '.join(names)} |", f"|---|{'---|' * len(names)}"]
    for row in rows:
        cells = [show(row["cells"][name]) if name in row["cells"] else "" for name in names]
        package = f"{row['client']} (`{row['package']}` {row['version']})"
        lines.append(f"| {package} | {' | '.join(cells)} |")
    if any(name not in row["cells"] for row in rows for name in names):
        lines += ["", "An empty cell: the client has no such thing, or hides it."]
    return "\n".join([*lines, ""])


def _failures(rows: Sequence[Row]) -> str:
    said = [
        f"- {row['client']}, {name}: {cell['detail']}"
        for row in rows
        for name, cell in row["cells"].items()
        if not cell["works"]
    ]
    return "\n".join(["", "## What does not work", "", *said, ""]) if said else ""
