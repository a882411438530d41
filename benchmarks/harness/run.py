"""Measure a server on task sets through lm-evaluation-harness."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from redraft.benchmarks.commands.options import LOCAL_URL, CallOptions, read
from redraft.benchmarks.grading.task_sets import SETS, Document
from redraft.benchmarks.output.plots import bars
from redraft.benchmarks.output.results import Cell, Result, Table, publish
from redraft.benchmarks.stats.intervals import (
    NOTHING,
    Interval,
    percentiles,
    resampled_means,
    wilson,
)
from redraft.benchmarks.stats.pairs import Comparison, compare
from redraft.server.jsonl import FileError
from redraft.server.options import option

SetName = Literal["gsm8k", "bbh", "tydiqa"]
Rows = Mapping[str, Sequence[Mapping[str, Any]]]  # by set


@dataclass(frozen=True, kw_only=True)
class HarnessOptions(CallOptions):
    data: Path = option("folder of the task sets")
    url: str = option("of the server, /v1 included", LOCAL_URL)
    model: tuple[str, ...] = option("its name on the server; repeat it", repeat=True)
    sets: tuple[SetName, ...] = option("to measure", ("gsm8k", "bbh", "tydiqa"))
    limit: int | None = option("only so many questions of each group", None, least=1)
    max_failed: float = option("share that may be unscored", 0.01)
    out: Path = option("folder for the results", Path("runs/tasks"))


def main(arguments: Sequence[str]) -> int:
    options = read(HarnessOptions, "tasks run", arguments, __doc__)
    sets: dict[str, list[Document]] = {
        name: limited(SETS[name].documents(options.data), options.limit) for name in options.sets
    }
    if empty := [name for name, documents in sets.items() if not documents]:
        raise FileError(f"{options.data} holds no questions of {empty[0]}")
    # After the files are read: what it imports takes seconds.
    from redraft.benchmarks.harness.model import evaluate, write_tasks

    folder = options.out / "tasks"
    write_tasks(folder, sets)
    answered: dict[str, Rows] = {}
    failures: Counter[str] = Counter()
    for model in options.model:
        endpoint = options.endpoint(options.url, model)
        answered[model], failed = evaluate(
            folder, options.sets, endpoint, options.out / "answers.jsonl", options.concurrency
        )
        failures += failed
    _report(options, answered, failures)
    num_asked = len(options.model) * sum(map(len, sets.values()))
    return 1 if failures.total() > options.max_failed * num_asked else 0


def limited(documents: Iterator[Document], limit: int | None) -> list[Document]:
    by_group = groupby(documents, key=lambda document: document.group)
    return [document for _, group in by_group for document in list(group)[:limit]]


def _report(options: HarnessOptions, answered: dict[str, Rows], failures: Counter[str]) -> None:
    first, *others = options.model
    scores = {model: {name: score(rows[name]) for name in rows} for model, rows in answered.items()}
    comparisons = {
        model: {name: paired(answered[model][name], answered[first][name]) for name in options.sets}
        for model in others
    }
    main_rows: list[tuple[Cell, ...]] = [
        (name, SETS[name].measure, *(scores[model][name] for model in options.model))
        for name in options.sets
    ]
    note = "Mean over the groups of a set; 95% intervals over questions within groups."
    tables = [Table("Tasks, %", ("set", "measure", *options.model), tuple(main_rows), note)]
    for model in others:
        rows = tuple(
            (name, c.difference, c.shown, c.p_value) for name, c in comparisons[model].items()
        )
        columns = ("set", "points", "better/equal/worse", "p (sign test)")
        tables.append(Table(f"{model} minus {first}", columns, rows, "Paired by question."))
    values = {
        f"{name}, {model}": scores[model][name] for name in options.sets for model in options.model
    }
    plot = bars(options.out / "tasks.svg", values, "%")
    figures = {"scores": scores, "comparisons": comparisons}
    samples = [
        {"model": model, "set": name, **row}
        for model, rows in answered.items()
        for name in rows
        for row in rows[name]
    ]
    config = asdict(options)
    about = "Accuracy on GSM8K, BBH and TyDiQA through lm-evaluation-harness."
    result = Result("tasks", about, config, figures, failures, tuple(tables), (plot,), samples)
    publish(result, options.out)


def score(rows: Sequence[Mapping[str, Any]], seed: int = 0) -> Interval:
    """Percent: the mean over groups, with questions resampled within groups. A single group of
    right and wrong answers gets Wilson's interval, which has a width at 0% and 100% as well."""
    groups: dict[str, list[float]] = {}
    for row in rows:
        if not math.isnan(row["score"]):
            groups.setdefault(row["group"], []).append(row["score"])
    if not groups:
        return NOTHING
    scored = [each for scores in groups.values() for each in scores]
    if len(groups) == 1 and set(scored) <= {0.0, 1.0}:
        return wilson(sum(scored), len(scored)).scaled(100)
    import numpy as np

    means = [
        resampled_means(np.array(scores), seed + place)
        for place, scores in enumerate(groups.values())
    ]
    bounds = percentiles(np.mean(means, axis=0))
    estimate = fmean(fmean(scores) for scores in groups.values())
    return Interval(estimate, *bounds, len(scored)).scaled(100)


def paired(ours: Sequence[Mapping[str, Any]], theirs: Sequence[Mapping[str, Any]]) -> Comparison:
    """The difference in points over the questions scored for both."""
    pairs = [(a["score"], b["score"]) for a, b in zip(ours, theirs, strict=True)]
    both = [(100 * a, 100 * b) for a, b in pairs if not math.isnan(a + b)]
    return compare([a for a, _ in both], [b for _, b in both])
