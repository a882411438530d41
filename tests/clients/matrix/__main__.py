"""Runs every client and writes docs/clients.json and docs/clients.md. Run: make clients"""

from __future__ import annotations

import sys
import time

from tests.clients.matrix import page, results
from tests.clients.matrix.clients import CLIENTS
from tests.clients.matrix.environments import Unavailable
from tests.clients.matrix.server import environment


def main() -> int:
    rows = []
    with environment() as chosen:
        for client in CLIENTS:
            began = time.monotonic()
            try:
                row = results.run(client, chosen)
            except Unavailable as error:
                print(f"{client.name}: {error}; nothing was written", file=sys.stderr)
                return 1
            failed = [name for name, cell in row["cells"].items() if not cell["works"]]
            took = f"{time.monotonic() - began:.0f} s"
            print(f"{client.name}: {took}; fails: {', '.join(failed) or 'nothing'}")
            rows.append(row)
    results.write(rows)
    page.PAGE.write_text(page.render(rows), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
