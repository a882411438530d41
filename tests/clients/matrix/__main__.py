"""Runs the clients and writes docs/clients.json and docs/clients.md. Run: make clients

    python -m tests.clients.matrix structure

asks again only for the objects of a schema, which takes a model.
"""

from __future__ import annotations

import sys
import time

from tests.clients.matrix import page, real_server, results
from tests.clients.matrix.clients import CLIENTS
from tests.clients.matrix.environments import Unavailable
from tests.clients.matrix.results import Cell, Row
from tests.clients.matrix.server import environment


def main() -> int:
    try:
        rows = results.read() if sys.argv[1:] == ["structure"] else _features()
        _ask_for_structure(rows)
    except Unavailable as error:
        print(f"{error}; nothing was written", file=sys.stderr)
        return 1
    results.write(rows)
    page.PAGE.write_text(page.render(rows), encoding="utf-8")
    return 0


def _features() -> list[Row]:
    rows = []
    with environment() as chosen:
        for client in CLIENTS:
            began = time.monotonic()
            row = results.run(client, chosen)
            _say(client.name, row["cells"], began)
            rows.append(row)
    return rows


def _ask_for_structure(rows: list[Row]) -> None:
    with real_server.environment() as chosen:
        for client, row in zip(CLIENTS, rows, strict=True):
            if client.structure:
                began = time.monotonic()
                row["structure"] = results.run_structure(client, chosen)
                _say(f"{client.name}, structure", row["structure"], began)


def _say(what: str, cells: dict[str, Cell], began: float) -> None:
    failed = [name for name, cell in cells.items() if not cell["works"]]
    print(f"{what}: {time.monotonic() - began:.0f} s; fails: {', '.join(failed) or 'nothing'}")


if __name__ == "__main__":
    sys.exit(main())
