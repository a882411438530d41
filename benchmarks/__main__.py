"""The measurements by name: ``redraft bench NAME ...``.

How to add one: a module of this package with ``main(arguments) -> exit code`` and ``parser()``;
its commands in docs/benchmarks.md, which tests/test_bench_page.py reads.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from redraft.benchmarks import menu

HERE = Path(__file__).parent


def main(arguments: Sequence[str] | None = None) -> int:
    given = list(sys.argv[1:] if arguments is None else arguments)
    return menu.run("benchmarks", HERE, "redraft bench", given)


def measurements() -> dict[str, str]:
    return menu.programs(HERE)


if __name__ == "__main__":
    sys.exit(main())
