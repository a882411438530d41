"""Quality against compute: what an answer gains from refining, re-ranking or voting, per token.

    redraft bench compute labelled.jsonl --url URL --model NAME

Every way of answering is asked every labelled prompt: {"prompt": "...", "answers": ["...", ...]} in
each line. With --judge URL, which says what is right, the answers may be left out.
A way is a name and refine options, or a number of drafts to vote among:

    --way 'refine-2={"max_iterations": 2}'  --way 'rerank-8={"drafts": 8, "max_iterations": 0}'
    --way 'vote-8={"vote": 8}'

The first way is the one the others are compared with, prompt by prompt. A run that was stopped
goes on; the same seed gives the same table.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from redraft.benchmarks.commands.options import ServerOptions, read
from redraft.benchmarks.grading.grading import PromptOptions, ask_and_grade, require_answers
from redraft.benchmarks.grading.ways import DIRECT, Way, refining, reranking, voting
from redraft.benchmarks.grading.weighing import Answers, points, samples, table, weigh
from redraft.benchmarks.output.plots import scatter
from redraft.benchmarks.output.results import Result, publish
from redraft.server.options import ConfigError, option

WAYS: dict[str, Way] = {
    "direct": DIRECT,
    **{f"refine-{k}": refining(k) for k in (1, 2, 3, 4)},
    "refine-3, best": refining(3, keep="best"),
    "refine-3, until 10": refining(3, good_enough=10),
    **{f"rerank-{n}": reranking(n) for n in (2, 4, 8)},
    **{f"vote-{n}": voting(n) for n in (4, 8)},
}


@dataclass(frozen=True, kw_only=True)
class ComputeOptions(PromptOptions, ServerOptions):
    labelled: Path = option("file of labelled prompts", positional="LABELLED")
    way: tuple[str, ...] = option("NAME=JSON; repeat it. None: all built in", (), repeat=True)
    out: Path = option("folder for the results", Path("runs/compute"))


def main(arguments: Sequence[str]) -> int:
    options = read(ComputeOptions, "compute", arguments, __doc__)
    prompts = options.labelled_prompts(options.labelled)
    ways = dict(map(_named, options.way)) if options.way else WAYS
    settings = options.ask_settings(options.url, options.model)
    answers, failures = ask_and_grade(prompts, ways, settings, options.grader(), options.out)
    require_answers(answers, failures)
    _report(options, ways, answers, failures)
    return 1 if failures.total() > options.max_failed * len(prompts) * len(ways) else 0


def _named(text: str) -> tuple[str, Way]:
    name, equals, content = text.partition("=")
    if not equals:
        raise ConfigError(f"--way: expected NAME=JSON, got {text!r}")
    return name, json.loads(content)


def _report(
    options: ComputeOptions,
    ways: Mapping[str, Way],
    answers: Mapping[str, Answers],
    failures: Counter[str],
) -> None:
    weighed = weigh(answers, options.seed)
    figures = {name: {**each.json(), "ways": dict(ways[name])} for name, each in weighed.items()}
    labels = ("tokens for an answer", "right, %")
    plot = scatter(options.out / "compute.svg", points(weighed), labels)
    about = "What an answer gains from refining, re-ranking and voting, and what that costs."
    config = {**asdict(options), "way": {name: dict(way) for name, way in ways.items()}}
    tables = (table("Quality against compute", weighed),)
    publish(
        Result("compute", about, config, figures, failures, tables, (plot,), samples(answers)),
        options.out,
    )
