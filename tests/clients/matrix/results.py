"""Runs the clients, and keeps what they did."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.clients.matrix import environments
from tests.clients.matrix.clients import ERRORS, FEATURES, Client

RECORDED = Path(__file__).parents[3] / "docs" / "clients.json"
Cell = dict[str, Any]  # works, detail
Row = dict[str, Any]  # client, package, version, cells; structure: cells, where it was asked


def run(client: Client, environment: dict[str, str]) -> Row:
    """What one client did; Unavailable when it cannot be had here."""
    cells = _cells(client, client.program, environment)
    ordered = {name: cells[name] for name in (*FEATURES, *ERRORS) if name in cells}
    return {
        "client": client.name,
        "package": client.packages[0],
        "version": client.version,
        "cells": ordered,
    }


def run_structure(client: Client, environment: dict[str, str]) -> dict[str, Cell]:
    """Whether the client gets an object of a schema from a real model, refined and direct."""
    return _cells(client, client.structure, environment)


def _cells(client: Client, program: str, environment: dict[str, str]) -> dict[str, Cell]:
    cells: dict[str, Cell] = {}
    for line in environments.run(client, program, environment).splitlines():
        if line.startswith('{"feature"'):
            cell = json.loads(line)
            cells[cell.pop("feature")] = cell
    return cells


def read() -> list[Row]:
    rows: list[Row] = json.loads(RECORDED.read_text(encoding="utf-8"))
    return rows


def write(rows: list[Row]) -> None:
    text = json.dumps(rows, indent=1, ensure_ascii=False)
    RECORDED.write_text(f"{text}\n", encoding="utf-8")
