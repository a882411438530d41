"""GSM8K, BBH and TyDiQA through lm-evaluation-harness, refinement on and off.

    redraft bench tasks run --data DIR --model redraft:direct --model redraft:refine
    redraft bench tasks verify --data DIR      the scorers on outputs with published accuracies

DIR holds gsm8k/{train,test}.jsonl, bbh/{tasks,cot-prompts}/, tydiqa_goldp/dev/*.jsonl. Every model
answers the same questions; the second and later ones are compared with the first, paired.
"""

from __future__ import annotations

from redraft.benchmarks.commands.table import CommandTable

STEPS = CommandTable(
    "redraft bench tasks",
    "redraft.benchmarks.harness",
    {
        "run": "measure a server",
        "verify": "check the scorers on outputs with published accuracies",
    },
    __doc__ or "",
)

main = STEPS.run
