"""The paper's experiments and the open questions, each against any deployment.

    redraft bench experiments rerank --url URL --model NAME --labelled labelled.jsonl
    redraft bench experiments rerank --workbench models/redraft-workbench

How to add one: a module of this package with ``main``, ``parser`` and ``measure``, as gate.py has
them; a line in docs/benchmarks.md; a row in the table of tests/test_bench_experiments.py.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from redraft.benchmarks import menu

HERE = Path(__file__).parent
PROGRAM = "redraft bench experiments"


def main(arguments: Sequence[str] | None = None) -> int:
    return menu.run(__name__, HERE, PROGRAM, list(sys.argv[1:] if arguments is None else arguments))


def experiments() -> dict[str, str]:
    return menu.programs(HERE)
