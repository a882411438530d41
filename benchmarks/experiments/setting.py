"""What every experiment needs: prompts, a deployment to ask, a count of what failed.

    def main(arguments=None): return conduct(parser(), measure, arguments)

``measure(setting, options) -> Result`` is the experiment; everything else is the same for all.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from redraft.benchmarks.experiments.deployment import Deployment, deployed, draw
from redraft.benchmarks.grading.grading import ask_and_grade
from redraft.benchmarks.grading.labelled import Grader, LabelledPrompt, read_labelled
from redraft.benchmarks.grading.ways import Way
from redraft.benchmarks.grading.weighing import Answers
from redraft.benchmarks.load import asking_options
from redraft.benchmarks.output.results import Result, publish


class NothingAnswered(Exception):
    """A way gave no answer at all, so there is nothing to compare."""


@dataclass(slots=True)
class Setting:
    options: argparse.Namespace
    deployment: Deployment
    prompts: Sequence[LabelledPrompt]
    asked: int = 0
    failures: Counter[str] = field(default_factory=Counter)

    def ask(
        self,
        ways: Mapping[str, Way],
        prompts: Sequence[LabelledPrompt] | None = None,
        grader: Grader | None = None,
    ) -> Mapping[str, Answers]:
        """The graded answers of every way; what fails is counted here."""
        asked = self.prompts if prompts is None else prompts
        grader = grader or Grader.of(self.options, self.deployment.judge)
        where = self.deployment
        manner = asking_options.manner(self.options, where.url, where.model, where.fingerprint)
        found, failures = asyncio.run(ask_and_grade(asked, ways, manner, grader, self.options.out))
        self.asked += len(asked) * len(ways)
        self.failures += failures
        if empty := [name for name, answers in found.items() if not answers]:
            raise NothingAnswered(f"no answers from {', '.join(empty)}: {dict(failures)}")
        return found

    def config(self, **more: object) -> dict[str, object]:
        where = self.deployment
        asked = {"url": where.url, "model": where.model, "fingerprint": where.fingerprint}
        return {**vars(self.options), **asked, "prompts": len(self.prompts), **more}


Measure = Callable[[Setting, argparse.Namespace], Result]


def parser(name: str, about: str | None) -> argparse.ArgumentParser:
    """An experiment's options; it adds its own."""
    top = argparse.ArgumentParser(
        prog=f"redraft bench experiments {name}",
        description=about,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    where = top.add_mutually_exclusive_group(required=True)
    where.add_argument("--url", help="of a Redraft server, /v1 included")
    where.add_argument("--workbench", type=Path, help="model to serve; all else is started, too")
    top.add_argument("--model", help="its name on the server at --url")
    top.add_argument("--labelled", type=Path, help="prompts; default: drawn from the workbench")
    top.add_argument("--count", type=int, default=200, help="prompts to draw from the workbench")
    asking_options.add(top, "runs/experiments")
    return top


def conduct(
    top: argparse.ArgumentParser,
    measure: Measure,
    arguments: Sequence[str],
    noises: Callable[[argparse.Namespace], Sequence[float]] = lambda options: (),
) -> int:
    """``noises``: of the workbench's critics that the experiment needs."""
    options = read(top, arguments)
    with deployed(options, noises(options)) as deployment:
        return run(measure, options, deployment)


def read(top: argparse.ArgumentParser, arguments: Sequence[str]) -> argparse.Namespace:
    options = top.parse_args(arguments)
    if options.url and not (options.model and options.labelled):
        top.error("--url needs --model NAME and --labelled FILE")
    return options


def run(measure: Measure, options: argparse.Namespace, deployment: Deployment) -> int:
    """One experiment on what is there already; its exit code."""
    if options.labelled:
        prompts = read_labelled(options.labelled, judged=bool(options.judge))
    else:
        prompts = draw(options.out / "prompts.jsonl", options.count, options.seed)
    setting = Setting(options, deployment, prompts[: options.limit])
    try:
        result = measure(setting, options)
    except NothingAnswered as error:
        print(error, file=sys.stderr)
        return 1
    publish(result, options.out)
    return 1 if setting.failures.total() > options.max_failed * setting.asked else 0
