"""The measurements by name: ``redraft bench NAME ...``.

How to add one: a module of this package with ``main(arguments) -> exit code``; a row in
``COMMANDS``; its commands in docs/benchmarks.md, which tests/benchmarks/test_benchmarks_page.py
reads.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from redraft.benchmarks.commands.table import CommandTable

COMMANDS = CommandTable(
    "redraft bench",
    "redraft.benchmarks",
    {
        "latency": "time of refined answers, against doing it without a server",
        "overhead": "processor time of the server itself",
        "soak": "memory of the server under constant load",
        "speculation": "the same refinements, with guesses from their drafts and without",
        "targets": "every performance target beside what is measured here",
        "phased-model": "make a model to measure time with",
        "compute": "right answers against tokens: refining, re-ranking, voting",
        "pilot": "whether a model should refine on given work, and how often",
        "experiments": "the paper's experiments and the open questions",
        "workbench": "redraft-workbench through the API, and its model card",
        "winrate": "AlpacaEval 2.0: answers, a judge, win rates, comparisons",
        "tasks": "GSM8K, BBH and TyDiQA through lm-evaluation-harness",
        "ifeval": "IFEval, and other constraints that programs verify",
        "ifeval-instructions": "its prompts with their checks, for redraft train mending",
        "card": "the card of the shipped adapter, from recorded runs",
        "agreement": "feedback scores against people's preferences (HH-RLHF)",
        "readable": "how often a model's feedback can be read",
        "report": "one page of everything measured",
    },
)


def main(arguments: Sequence[str] | None = None) -> int:
    return COMMANDS.run(sys.argv[1:] if arguments is None else arguments)


if __name__ == "__main__":
    sys.exit(main())
