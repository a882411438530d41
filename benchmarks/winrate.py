"""AlpacaEval 2.0: answers, a judge, raw and length-controlled win rates, comparisons.

    redraft bench winrate answer  --instructions R.json --url URL --model M --out runs/m
    redraft bench winrate judge   --reference R.json --url URL --model JUDGE --out runs/m
    redraft bench winrate score   runs/m/verdicts.jsonl            any annotation file
    redraft bench winrate compare runs/m/verdicts.jsonl runs/n/verdicts.jsonl
    redraft bench winrate verify  FILE... --published leaderboard.csv

R.json holds AlpacaEval's instructions with the reference's answers (model_outputs.json of
gpt4_1106_preview). Other instructions do, too, and the answers.json of any system can be the
reference. Every step can be stopped and run again; it goes on where it was.
"""

from __future__ import annotations

from redraft.benchmarks.commands.table import CommandTable

STEPS = CommandTable(
    "redraft bench winrate",
    "redraft.benchmarks.winrates",
    {
        "answer": "generate the answers; those there already stay",
        "judge": "have a judge compare the answers with the reference's",
        "score": "win rates of annotation files",
        "compare": "two systems on the same instructions",
        "verify": "recompute published figures from their annotations",
    },
    __doc__ or "",
)

main = STEPS.run
