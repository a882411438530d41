"""The paper's experiments and the open questions, each against any deployment.

    redraft bench experiments rerank --url URL --model NAME --labelled labelled.jsonl
    redraft bench experiments rerank --workbench models/redraft-workbench

How to add one: a module of this package like gate.py; a row in ``EXPERIMENTS``; a line in
docs/benchmarks.md and a case in tests/benchmarks/experiments/test_experiments.py.
"""

from __future__ import annotations

from redraft.benchmarks.commands.table import CommandTable

EXPERIMENTS = CommandTable(
    "redraft bench experiments",
    "redraft.benchmarks.experiments",
    {
        "rerank": "refine once, or choose among drafts by the model's own score?",
        "iterations": "how often should it refine?",
        "gate": "what does stopping at a good score save?",
        "equal-compute": "what else could the tokens of refining buy?",
        "ways": "every way of answering, at equal tokens",
        "critic-quality": "how good must feedback be?",
        "wordings": "does it hold in other words and other languages?",
        "cost-benefit": "what do preferences cost, refined and by people?",
        "all": "all of the above, on servers started once",
        "ablation": "stage one retrained without parts of the feedback",
        "data-curve": "a stage retrained on less and less data",
        "languages": "make the prompts in four languages that wordings asks",
    },
)

main = EXPERIMENTS.run
