"""Quality against compute: what an answer gains from refining, re-ranking or voting, per token.

    redraft bench compute labelled.jsonl --url URL --model NAME

Every way of answering is asked every labelled prompt; labelled.py says how they look, and how a
judge (--judge URL) stands in for answers. A way is a name and refine options, or a number of drafts
to vote among:

    --way 'refine-2={"max_iterations": 2}'  --way 'rerank-8={"drafts": 8, "max_iterations": 0}'
    --way 'vote-8={"vote": 8}'

The first way is the one the others are compared with, prompt by prompt. A run that was stopped
goes on; the same seed gives the same table.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from redraft.benchmarks.grading.grading import ask_and_grade
from redraft.benchmarks.grading.labelled import Grader, read_labelled
from redraft.benchmarks.grading.ways import DIRECT, Way, refining, reranking, voting
from redraft.benchmarks.grading.weighing import Answers, points, samples, table, weigh
from redraft.benchmarks.load import asking_options, endpoint_options
from redraft.benchmarks.output.plots import scatter
from redraft.benchmarks.output.results import Result, publish
from redraft.server.options import ConfigError

WAYS: dict[str, Way] = {
    "direct": DIRECT,
    **{f"refine-{k}": refining(k) for k in (1, 2, 3, 4)},
    "refine-3, best": refining(3, keep="best"),
    "refine-3, until 10": refining(3, good_enough=10),
    **{f"rerank-{n}": reranking(n) for n in (2, 4, 8)},
    **{f"vote-{n}": voting(n) for n in (4, 8)},
}


def main(arguments: Sequence[str]) -> int:
    options = parser().parse_args(arguments)
    prompts = read_labelled(options.labelled, bool(options.judge))[: options.limit]
    ways = dict(map(_named, options.way)) if options.way else WAYS
    manner = asking_options.manner(options, options.url, options.model)
    asked = ask_and_grade(prompts, ways, manner, Grader.of(options), options.out)
    found, failures = asyncio.run(asked)
    if not all(found.values()):
        empty = [name for name, answers in found.items() if not answers]
        print(f"no answers at all from: {', '.join(empty)}; {dict(failures)}", file=sys.stderr)
        return 1
    _report(options, ways, found, failures)
    return 1 if failures.total() > options.max_failed * len(prompts) * len(ways) else 0


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="redraft bench compute",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("labelled", type=Path)
    endpoint_options.add_url(top)
    top.add_argument("--model", required=True)
    top.add_argument("--way", action="append", help="NAME=JSON; repeat it. Without: all built in")
    asking_options.add(top, "runs/compute")
    return top


def _named(text: str) -> tuple[str, Way]:
    name, equals, content = text.partition("=")
    if not equals:
        raise ConfigError(f"--way: expected NAME=JSON, got {text!r}")
    return name, json.loads(content)


def _report(
    options: argparse.Namespace,
    ways: Mapping[str, Way],
    found: Mapping[str, Answers],
    failures: Counter[str],
) -> None:
    weighed = weigh(found, options.seed)
    figures = {name: {**each.json(), "ways": dict(ways[name])} for name, each in weighed.items()}
    labels = ("tokens for an answer", "right, %")
    plot = scatter(options.out / "compute.svg", points(weighed), labels)
    about = "What an answer gains from refining, re-ranking and voting, and what that costs."
    config = {**vars(options), "way": {name: dict(way) for name, way in ways.items()}}
    tables = (table("Quality against compute", weighed),)
    publish(
        Result("compute", about, config, figures, failures, tables, (plot,), samples(found)),
        options.out,
    )
