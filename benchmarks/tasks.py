"""GSM8K, BBH and TyDiQA through lm-evaluation-harness, refinement on and off.

    redraft bench tasks run --data DIR --model redraft:direct --model redraft:refine
    redraft bench tasks verify --data DIR      the scorers on outputs with published accuracies

DIR holds gsm8k/{train,test}.jsonl, bbh/{tasks,cot-prompts}/, tydiqa_goldp/dev/*.jsonl. Every model
answers the same questions; the second and later ones are compared with the first, paired.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from redraft.benchmarks.grading.scorers import bbh_right, gsm8k_right
from redraft.benchmarks.grading.task_sets import SETS, Document
from redraft.benchmarks.load import endpoint_options
from redraft.benchmarks.output.plots import bars
from redraft.benchmarks.output.results import Result, Table, publish
from redraft.benchmarks.stats.intervals import (
    NOTHING,
    Interval,
    percentiles,
    resampled_means,
    wilson,
)
from redraft.benchmarks.stats.pairs import Comparison, compare
from redraft.server import jsonl

Rows = Mapping[str, Sequence[Mapping[str, Any]]]  # by set


def main(arguments: Sequence[str]) -> int:
    options = parser().parse_args(arguments)
    code: int = options.step(options)
    return code


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="redraft bench tasks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    steps = top.add_subparsers(required=True, metavar="STEP")
    formatter = argparse.ArgumentDefaultsHelpFormatter
    run = steps.add_parser("run", help="measure a server", formatter_class=formatter)
    run.set_defaults(step=run_step)
    endpoint_options.add_url(run)
    run.add_argument("--model", action="append", required=True, help="may be given again")
    run.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    run.add_argument("--limit", type=int, help="only so many questions of each group")
    endpoint_options.add(run)
    run.add_argument("--max-failed", type=float, default=0.01, help="share that may be unscored")
    verify = steps.add_parser("verify", help="check the scorers", formatter_class=formatter)
    verify.set_defaults(step=verify_step)
    for step in (run, verify):
        step.add_argument("--data", type=Path, required=True)
        step.add_argument("--out", type=Path, default=Path("runs/tasks"))
    return top


def run_step(options: argparse.Namespace) -> int:
    from redraft.benchmarks.load.harness import evaluate, write_tasks  # takes seconds to import

    sets = {
        name: limited(SETS[name].documents(options.data), options.limit) for name in options.sets
    }
    folder = options.out / "tasks"
    write_tasks(folder, sets)
    found: dict[str, Rows] = {}
    failures: Counter[str] = Counter()
    for model in options.model:
        endpoint = endpoint_options.endpoint(options, model)
        ledger = options.out / "answers.jsonl"
        found[model], failed = evaluate(folder, options.sets, endpoint, ledger, options.concurrency)
        failures += failed
    _report(options, found, failures)
    asked = len(options.model) * sum(map(len, sets.values()))
    return 1 if failures.total() > options.max_failed * asked else 0


def limited(documents: Iterator[Document], limit: int | None) -> list[Document]:
    by_group = groupby(documents, key=lambda document: document.group)
    return [document for _, group in by_group for document in list(group)[:limit]]


def _report(options: argparse.Namespace, found: dict[str, Rows], failures: Counter[str]) -> None:
    first, *others = options.model
    scores = {model: {name: score(rows[name]) for name in rows} for model, rows in found.items()}
    comparisons = {
        model: {name: paired(found[model][name], found[first][name]) for name in options.sets}
        for model in others
    }
    main_rows = tuple(
        (name, SETS[name].measure, *(scores[model][name] for model in options.model))
        for name in options.sets
    )
    tables = [Table("Tasks, %", ("set", "measure", *options.model), main_rows, NOTE)]
    for model in others:
        rows = tuple(
            (name, c.difference, f"{c.wins}/{c.ties}/{c.losses}", c.p_value)
            for name, c in comparisons[model].items()
        )
        columns = ("set", "points", "better/equal/worse", "p (sign test)")
        tables.append(Table(f"{model} minus {first}", columns, rows, "Paired by question."))
    values = {
        f"{name}, {model}": scores[model][name] for name in options.sets for model in options.model
    }
    plot = bars(options.out / "tasks.svg", values, "%")
    figures = {
        "scores": scores,
        "comparisons": {m: {n: c.json() for n, c in of.items()} for m, of in comparisons.items()},
    }
    samples = [
        {"model": model, "set": name, **row}
        for model, rows in found.items()
        for name in rows
        for row in rows[name]
    ]
    config = {key: value for key, value in vars(options).items() if key != "step"}
    about = "Accuracy on GSM8K, BBH and TyDiQA through lm-evaluation-harness."
    result = Result("tasks", about, config, figures, failures, tuple(tables), (plot,), samples)
    publish(result, options.out)


NOTE = "Mean over the groups of a set; 95% intervals over questions within groups."


def score(rows: Sequence[Mapping[str, Any]], seed: int = 0) -> Interval:
    """Percent: the mean over groups, each question resampled within its group. A single group of
    right and wrong answers needs no resampling, which would give 0% and 100% no width."""
    groups: dict[str, list[float]] = {}
    for row in rows:
        if not math.isnan(row["score"]):
            groups.setdefault(row["group"], []).append(row["score"])
    if not groups:
        return NOTHING
    scored = [each for scores in groups.values() for each in scores]
    if len(groups) == 1 and set(scored) <= {0.0, 1.0}:
        return wilson(sum(scored), len(scored)).scaled(100)
    means = [
        resampled_means(np.array(scores), seed + place)
        for place, scores in enumerate(groups.values())
    ]
    bounds = percentiles(np.mean(means, axis=0))
    estimate = fmean(fmean(scores) for scores in groups.values())
    return Interval(estimate, *bounds, len(scored)).scaled(100)


def paired(ours: Sequence[Mapping[str, Any]], theirs: Sequence[Mapping[str, Any]]) -> Comparison:
    """Points, over the questions scored for both."""
    pairs = [(a["score"], b["score"]) for a, b in zip(ours, theirs, strict=True)]
    both = [(100 * a, 100 * b) for a, b in pairs if not math.isnan(a + b)]
    return compare([a for a, _ in both], [b for _, b in both])


def verify_step(options: argparse.Namespace) -> int:
    rows = [*_gsm8k_rows(options.data / "gsm8k"), *_bbh_rows(options.data / "bbh")]
    different = sum(abs(ours - published) > 1e-9 for _, ours, published in rows)
    columns = ("outputs", "ours %", "published %")
    table = Table("Accuracies of stored outputs", columns, tuple(rows))
    figures = {"outputs": len(rows), "same": len(rows) - different}
    failures = {"different": different} if different else {}
    about = "The scorers on model outputs whose accuracy is published."
    config = {"data": options.data}
    publish(Result("scorers", about, config, figures, failures, (table,)), options.out)
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
