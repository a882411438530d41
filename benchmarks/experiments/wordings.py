"""Does it hold in other words? Wordings never trained on, and other languages.

    redraft bench experiments wordings --workbench models/redraft-workbench
    redraft bench experiments wordings --url URL --model NAME --labelled grouped.jsonl

Refining is measured in each group of prompts by itself. The workbench gives the wordings its
models are trained on and those they never see; a file of labelled prompts gives its own groups.
Beside them stand the same few questions in English, German, French and Spanish.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from redraft.benchmarks.commands.options import read
from redraft.benchmarks.data import LANGUAGES
from redraft.benchmarks.experiments.deployment import draw
from redraft.benchmarks.experiments.options import ExperimentOptions
from redraft.benchmarks.experiments.setting import Setting, conduct
from redraft.benchmarks.grading.labelled import Grader, LabelledPrompt, read_labelled
from redraft.benchmarks.grading.ways import DIRECT, Way, refining
from redraft.benchmarks.grading.weighing import Weighed, samples, weigh
from redraft.benchmarks.output.plots import bars
from redraft.benchmarks.output.results import Cell, Result, Table
from redraft.benchmarks.stats.pairs import p_shown
from redraft.server.options import option

WAYS: dict[str, Way] = {"direct": DIRECT, "refined": refining(1)}


@dataclass(frozen=True, slots=True)
class Group:
    name: str
    prompts: Sequence[LabelledPrompt]
    grader: Grader | None = None  # None: as the options say


@dataclass(frozen=True, kw_only=True)
class WordingsOptions(ExperimentOptions):
    languages: Path = option("prompts in several languages; answers are numbers", LANGUAGES)


def main(arguments: Sequence[str]) -> int:
    options = read(WordingsOptions, "experiments wordings", arguments, __doc__)
    read_labelled(options.languages)  # one that cannot be used is told before anything is asked
    return conduct(options, measure)


def measure(setting: Setting[WordingsOptions]) -> Result:
    options = setting.options
    weighed: dict[str, Mapping[str, Weighed]] = {}
    answered = []
    for group in _groups(setting, options):
        answers = setting.ask(WAYS, group.prompts, group.grader)
        weighed[group.name] = weigh(answers, options.seed)
        answered += [{"group": group.name, **sample} for sample in samples(answers)]
    shown = {
        f"{name}, {way}": each.right for name, ways in weighed.items() for way, each in ways.items()
    }
    plot = bars(options.out / "wordings.svg", shown, "right, %")
    figures = {
        name: {way: each.json() for way, each in ways.items()} for name, ways in weighed.items()
    }
    about = "Answers and refinements in wordings never trained on, and in other languages."
    return setting.result("wordings", about, WAYS, figures, (_table(weighed),), (plot,), answered)


def _groups(setting: Setting[WordingsOptions], options: WordingsOptions) -> Iterator[Group]:
    if options.labelled:
        yield from _named(setting.prompts)
    else:
        yield Group("trained wordings", setting.prompts)
        held_out = draw(options.out / "held-out.jsonl", options.count, options.seed, held_out=True)
        yield Group("wordings never trained on", held_out[: options.limit])
    # The workbench's judge knows its own instructions only.
    grader = Grader("number")
    for group in _named(read_labelled(options.languages)):
        prompts = group.prompts[: options.limit]
        yield Group(f"same questions, {group.name}", prompts, grader)


def _named(prompts: Sequence[LabelledPrompt]) -> Iterator[Group]:
    """The groups of the prompts, in the order of the file."""
    order = list(dict.fromkeys(prompt.group for prompt in prompts))
    ordered = sorted(prompts, key=lambda prompt: order.index(prompt.group))
    for name, group in groupby(ordered, key=lambda prompt: prompt.group):
        yield Group(name or "all", list(group))


def _table(weighed: Mapping[str, Mapping[str, Weighed]]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name, ways in weighed.items():
        direct, refined = ways["direct"].right, ways["refined"].right
        gain, flipped = ways["refined"].gain.difference, ways["refined"].flipped
        counts = (p_shown(flipped.p_value), ways["refined"].malformed)
        rows.append((name, direct.n, direct, refined, gain, flipped.shown, *counts))
    columns = ("group", "prompts", "direct right %", "refined right %", "gain, points")
    note = (
        "Gains are paired by prompt; 95% intervals; p: McNemar's exact test. The questions in "
        "four languages ask the same things of the same numbers and words. Unreadable: feedback "
        "that could not be read, so that the draft was the answer."
    )
    return Table("By wording", (*columns, "mended/spoiled", "p", "unreadable"), tuple(rows), note)
