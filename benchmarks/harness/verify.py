"""Check the scorers on stored model outputs whose accuracy is published."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean

from redraft.benchmarks.commands.options import read
from redraft.benchmarks.grading.scorers import bbh_right, gsm8k_right
from redraft.benchmarks.output.results import Result, Table, publish
from redraft.server import jsonl
from redraft.server.options import option


@dataclass(frozen=True, kw_only=True)
class ScorersOptions:
    data: Path = option("folder of the task sets")
    out: Path = option("folder for the results", Path("runs/tasks"))


def main(arguments: Sequence[str]) -> int:
    options = read(ScorersOptions, "tasks verify", arguments, __doc__)
    rows = [*_gsm8k_rows(options.data / "gsm8k"), *_bbh_rows(options.data / "bbh")]
    different = sum(abs(ours - published) > 1e-9 for _, ours, published in rows)
    columns = ("outputs", "ours %", "published %")
    table = Table("Accuracies of stored outputs", columns, tuple(rows))
    figures = {"outputs": len(rows), "same": len(rows) - different}
    failures = {"different": different} if different else {}
    about = "The scorers on model outputs whose accuracy is published."
    publish(Result("scorers", about, asdict(options), figures, failures, (table,)), options.out)
    return 1 if different else 0


def _gsm8k_rows(folder: Path) -> Iterator[tuple[str, float, float]]:
    solutions = list(jsonl.read(folder / "scored_model_solutions.jsonl"))
    for model, published in json.loads((folder / "expected.json").read_text("utf-8")).items():
        right = [gsm8k_right(row[model]["solution"], row["ground_truth"]) for row in solutions]
        yield f"gsm8k {model}", 100 * fmean(right), published["accuracy"]


def _bbh_rows(folder: Path) -> Iterator[tuple[str, float, float]]:
    for task, published in json.loads((folder / "expected.json").read_text("utf-8")).items():
        outputs = list(jsonl.read(folder / "scored_outputs" / f"{task}.jsonl"))
        for mode in ("cot", "direct"):
            right = [
                bbh_right(row["prediction"], row["target"])
                for row in outputs
                if row["mode"] == mode
            ]
            yield f"bbh {task} {mode}", 100 * fmean(right), published[f"{mode}_accuracy"]
