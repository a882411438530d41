"""What all experiments share: options, a deployment to ask, prompts, a count of failures.

    def main(arguments): return conduct(read(GateOptions, NAME, arguments, __doc__), measure)

``measure(setting) -> Result`` is the experiment; everything else is the same for all.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Generic, TypeVar

from redraft.benchmarks.experiments.deployment import Deployment, deployed, draw
from redraft.benchmarks.experiments.options import ExperimentOptions
from redraft.benchmarks.grading.grading import NothingAnswered, ask_and_grade, require_answers
from redraft.benchmarks.grading.labelled import Grader, LabelledPrompt
from redraft.benchmarks.grading.ways import Way
from redraft.benchmarks.grading.weighing import Answers
from redraft.benchmarks.output.results import Result, Table, publish

Options = TypeVar("Options", bound=ExperimentOptions)


@dataclass(slots=True)
class Setting(Generic[Options]):
    options: Options
    deployment: Deployment
    prompts: Sequence[LabelledPrompt]
    num_asked: int = 0
    failures: Counter[str] = field(default_factory=Counter)

    def ask(
        self,
        ways: Mapping[str, Way],
        prompts: Sequence[LabelledPrompt] | None = None,
        grader: Grader | None = None,
    ) -> dict[str, Answers]:
        """The graded answers of every way. Failures are added to ``failures``."""
        prompts = self.prompts if prompts is None else prompts
        grader = grader or self.options.grader(self.deployment.judge)
        where = self.deployment
        settings = self.options.ask_settings(where.url, where.model, where.fingerprint)
        answers, failures = ask_and_grade(prompts, ways, settings, grader, self.options.out)
        self.num_asked += len(prompts) * len(ways)
        self.failures += failures
        require_answers(answers, failures)
        return answers

    def result(
        self,
        name: str,
        about: str,
        ways: Mapping[str, Way],
        figures: Mapping[str, Any],
        tables: tuple[Table, ...],
        plots: tuple[str, ...],
        samples: Sequence[Mapping[str, Any]],
    ) -> Result:
        where = self.deployment
        server = {"url": where.url, "model": where.model, "fingerprint": where.fingerprint}
        config = {**asdict(self.options), **server, "prompts": len(self.prompts), "ways": ways}
        return Result(name, about, config, figures, self.failures, tables, plots, samples)


Measure = Callable[[Setting[Options]], Result]


def conduct(options: Options, measure: Measure[Options], noises: Sequence[float] = ()) -> int:
    """Run one experiment. ``noises``: error rates of the critics that it needs."""
    with deployed(options, noises) as deployment:
        return run(options, measure, deployment)


def run(options: Options, measure: Measure[Options], deployment: Deployment) -> int:
    """Run one experiment on a running deployment; returns the exit code."""
    if options.labelled:
        prompts = options.labelled_prompts(options.labelled)
    else:
        drawn = draw(options.out / "prompts.jsonl", options.count, options.seed)
        prompts = drawn[: options.limit]
    setting = Setting(options, deployment, prompts)
    try:
        result = measure(setting)
    except NothingAnswered as error:  # no reason to leave other experiments out
        print(error, file=sys.stderr)
        return 1
    publish(result, options.out)
    return 1 if setting.failures.total() > options.max_failed * setting.num_asked else 0
