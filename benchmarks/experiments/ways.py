"""One table of every way of answering the same prompts, at equal tokens.

    redraft bench experiments ways --url URL --model NAME --max-tokens 400     IFEval's prompts
    redraft bench experiments ways --url URL --model NAME --ways itself checks --limit 200
    redraft bench experiments ways --model NAME --recorded --replies runs/ifeval/replies.jsonl
    redraft bench experiments ways --workbench models/redraft-workbench

Ways: itself (its own feedback, up to 3 iterations), checks (those of the prompt, up to 3; on the
workbench its exact critic), best (of 1 to 8 sampled drafts by its own score), off (refined without
feedback), votes (of 3 feedbacks), candidates-2 and -4 (one answer written from sampled drafts).
The greedy draft of any of them is the direct answer.

Replies are kept, so a stopped run goes on, one way at a time where wanted. --replies takes those of
other runs, of ``redraft bench ifeval`` too, where they are to the same requests; with --recorded
nothing is asked. --begun takes up the drafts and first iterations of another run. The table has the
prompts that every way has answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from redraft.benchmarks.commands.errors import MeasurementFailed
from redraft.benchmarks.commands.options import read
from redraft.benchmarks.data import IFEVAL
from redraft.benchmarks.experiments.deployment import critic_name
from redraft.benchmarks.experiments.options import ExperimentOptions
from redraft.benchmarks.experiments.setting import Setting, conduct
from redraft.benchmarks.following import way_tables
from redraft.benchmarks.following.asking import replies_in
from redraft.benchmarks.following.gathering import Gathering
from redraft.benchmarks.following.several_ways import DIRECT, WAYS, Answers, AnswerWay, chosen
from redraft.benchmarks.following.tables import GRADERS
from redraft.benchmarks.following.way_figures import (
    BEST,
    ITERATED,
    STRICT,
    WayColumn,
    at_equal_tokens,
    columns_of,
    iteration_by_iteration,
    way_figures,
)
from redraft.benchmarks.grading.constrained import ConstrainedPrompt, Met, drawn, read_prompts
from redraft.benchmarks.grading.graders import graders_for
from redraft.benchmarks.grading.grading import NothingAnswered
from redraft.benchmarks.grading.labelled import Graded
from redraft.benchmarks.load.endpoint import CallFailed
from redraft.benchmarks.output.plots import lines
from redraft.benchmarks.output.results import Result, Table, publish
from redraft.benchmarks.stats.intervals import Interval
from redraft.server.options import ConfigError, option

NAME, JUDGED = "ways", "judge"
WayName = Literal[
    "itself", "checks", "best", "off", "votes", "candidates-2", "candidates-4", "direct"
]
ABOUT = "Every way of answering the same prompts, and what its tokens would have bought in drafts."


@dataclass(frozen=True, kw_only=True)
class WaysOptions(ExperimentOptions):
    ways: tuple[WayName, ...] = option(
        "what to compare with the direct answer",
        ("itself", "checks", "best", "off", "votes", "candidates-2", "candidates-4"),
    )
    data: Path | None = option("prompts with constraints; none: IFEval's 541", None)
    sample: int | None = option("only so many of these, drawn by seed", None, least=1)
    critic: str = option("the critic that labelled prompts have in the place of checks", "")
    replies: tuple[Path, ...] = option("journals of other runs, whose replies count", ())
    begun: Path | None = option("greedy loops of this model with these limits to take up", None)
    recorded: bool = option("ask nothing", False)

    def __post_init__(self) -> None:
        if self.workbench and self.url:
            raise ConfigError("give either --url URL or --workbench MODEL")
        if not self.workbench and not (self.model and (self.url or self.recorded)):
            raise ConfigError("give --url URL and --model NAME, or --workbench MODEL")
        if self.temperature is not None and self.temperature <= 0:
            raise ConfigError("--temperature 0: all sampled drafts would be the same")

    def gathering(self, url: str, model: str, deployment: str = "") -> Gathering:
        return Gathering(
            self.endpoint(url, model),
            self.out / "replies.jsonl",
            self.concurrency,
            self.max_tokens,
            0.7 if self.temperature is None else self.temperature,
            self.seed,
            deployment,
            not self.recorded,
            replies_in(self.begun) if self.begun else {},
        )


def main(arguments: Sequence[str]) -> int:
    options = read(WaysOptions, "experiments ways", arguments, __doc__)
    if options.workbench or options.labelled:
        return conduct(options, measure, [0.0])
    return _constrained(options)


def _constrained(options: WaysOptions) -> int:
    """Prompts with constraints that programs verify."""
    prompts = read_prompts(options.data or IFEVAL)[: options.limit]
    prompts = drawn(prompts, options.sample, options.seed)
    gathering = options.gathering(options.url or "", options.model or "")
    ways = chosen(options.ways)
    gathering.adopt(options.replies, prompts, list(ways.values()))
    answers, answered, failures = gathering.answers(prompts, ways)
    if not answers:
        raise MeasurementFailed(f"no prompt was answered in every way: {answered}")
    of_prompts = [(prompt, answers[prompt.text]) for prompt in prompts if prompt.text in answers]
    columns = {}
    for name, grader in graders_for(prompts).items():
        verdicts = [
            {text: grader(prompt, text) for text in {a.text for a in of_prompt.values()}}
            for prompt, of_prompt in of_prompts
        ]
        columns[GRADERS[name]] = columns_of([each for _, each in of_prompts], verdicts)
    what = options.data.stem if options.data else "IFEval"
    title = f"{what}, {len(answers)} of {len(prompts)} prompts"
    config = {**asdict(options), "ways": {name: way.refine for name, way in ways.items()}}
    figures = {**_figures(columns, options.seed), "answered": answered}
    tables = _tables(columns, title, options.seed, one_level=False)
    plots = (_plot(options.out, figures),)
    samples = _samples(next(iter(columns.values())))
    result = Result(NAME, ABOUT, config, figures, failures, tables, plots, samples, answered)
    publish(result, options.out)
    return 1 if failures.total() > options.max_failed * len(prompts) * len(ways) else 0


def measure(setting: Setting[WaysOptions]) -> Result:
    """Labelled prompts: an answer is right or wrong."""
    options, where = setting.options, setting.deployment
    ways = _of_labelled(options, options.critic or (critic_name(0.0) if where.judge else ""))
    prompts = [ConstrainedPrompt(each.prompt, (JUDGED,), ()) for each in setting.prompts]
    gathering = options.gathering(where.url, where.model, where.fingerprint)
    gathering.adopt(options.replies, prompts, list(ways.values()))
    answers, answered, failures = gathering.answers(prompts, ways)
    setting.num_asked += len(prompts) * len(ways)
    setting.failures += failures
    if not answers:
        raise NothingAnswered(f"no prompt was answered in every way: {answered}")
    of_prompts, verdicts = _judged(setting, answers)
    columns = {JUDGED: columns_of(of_prompts, verdicts)}
    figures = {**_figures(columns, options.seed), "answered": answered}
    title = f"{where.model}, {len(of_prompts)} of {len(prompts)} prompts"
    tables = _tables(columns, title, options.seed, one_level=True)
    plots = (_plot(options.out, figures),)
    asked = {name: way.refine for name, way in ways.items()}
    return setting.result(NAME, ABOUT, asked, figures, tables, plots, _samples(columns[JUDGED]))


def _of_labelled(options: WaysOptions, critic: str) -> dict[str, AnswerWay]:
    """Labelled prompts have no checks: a critic stands in their place, or they are left out."""
    ways = chosen([name for name in options.ways if name != "checks" or critic])
    if "checks" in ways:
        refine = {**WAYS["checks"].refine, "feedback_by": critic}
        ways["checks"] = replace(WAYS["checks"], refine=refine, checks="none")
    return ways


def _judged(
    setting: Setting[WaysOptions], answers: Mapping[str, Answers]
) -> tuple[list[Answers], list[dict[str, Met]]]:
    """The prompts whose answers could all be judged, and the verdicts on them."""
    grader = setting.options.grader(setting.deployment.judge)
    prompts = {prompt.prompt: prompt for prompt in setting.prompts}
    pairs: dict[str, list[Graded]] = {
        text: [(prompts[text], each.text) for each in of_prompt.values()]
        for text, of_prompt in answers.items()
    }
    grades = asyncio.run(grader.grade(pair for each in pairs.values() for pair in each))
    judged, verdicts = [], []
    for text, of_prompt in pairs.items():
        try:
            right = {answer: (grades.of(prompt, answer),) for prompt, answer in of_prompt}
        except CallFailed as failed:
            setting.failures[failed.reason] += 1
        else:
            judged.append(answers[text])
            verdicts.append({answer: Met(each, each) for answer, each in right.items()})
    if not judged:
        raise NothingAnswered(f"no answer could be judged: {dict(setting.failures)}")
    return judged, verdicts


def _figures(columns: Mapping[str, Mapping[str, WayColumn]], seed: int) -> dict[str, Any]:
    return {
        "ways": {grader: way_figures(each, seed) for grader, each in columns.items()},
        "equal_tokens": {
            grader: {
                f"{name} - {rival}": pairing
                for (name, rival), pairing in at_equal_tokens(each, seed).items()
            }
            for grader, each in columns.items()
        },
        "iterations": {
            grader: {
                f"{name} - {before}": pairing
                for (name, before), pairing in iteration_by_iteration(each, seed).items()
            }
            for grader, each in columns.items()
        },
    }


def _tables(
    columns: Mapping[str, Mapping[str, WayColumn]], title: str, seed: int, one_level: bool
) -> tuple[Table, ...]:
    found = []
    for grader, each in columns.items():
        of = f"{title}, by {'the ' if one_level else ''}{grader}"
        found.append(way_tables.every_way(way_figures(each, seed), of, one_level))
        if pairings := at_equal_tokens(each, seed):
            found.append(way_tables.equal_tokens(pairings, f"At equal tokens: {of}"))
        if pairings := iteration_by_iteration(each, seed):
            found.append(way_tables.iterations(pairings, f"Each further iteration: {of}"))
    return tuple(found)


def _plot(out: Path, figures: Mapping[str, Any]) -> str:
    """Each way as a curve, from the direct answer on where it begins there."""
    first = next(iter(figures["ways"].values()))
    at = {name: (each["tokens"].estimate, each["met"][STRICT]) for name, each in first.items()}
    curves: dict[str, list[tuple[float, Interval]]] = {}
    for name, point in at.items():
        label = name.rstrip("0123456789").strip()
        if name == DIRECT or (label == BEST and name not in way_tables.SHOWN):
            continue
        curves.setdefault(label, [at[DIRECT]] if label in ITERATED else []).append(point)
    out.mkdir(parents=True, exist_ok=True)
    return lines(out / f"{NAME}.svg", curves, ("tokens for an answer", "right, %"), True)


def _samples(columns: Mapping[str, WayColumn]) -> list[dict[str, Any]]:
    return [
        {"way": name, "prompt": place, "right": right, "tokens": tokens}
        for name, column in columns.items()
        for place, (right, tokens) in enumerate(zip(column.right, column.tokens, strict=True))
    ]
