"""How much refining depends on its feedback: an exact critic, worse ones, the model itself.

    redraft bench experiments critic-quality --workbench models/redraft-workbench
    redraft bench experiments critic-quality --url URL --model NAME --labelled F --critic NAME

The workbench's critics know the right answer and are wrong in a given share of their verdicts; of
another server, name the critics it has. The drafts are the same for all. What a critic finds no
fault with stays as it is, so that a wrong verdict costs what it costs in use; beside it stands what
comes of refining every draft. There a critic that calls a wrong draft right may still help: the
working in its feedback is that of the right answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from redraft.benchmarks.commands.options import read
from redraft.benchmarks.experiments.deployment import critic_name
from redraft.benchmarks.experiments.options import ExperimentOptions
from redraft.benchmarks.experiments.setting import Setting, conduct
from redraft.benchmarks.grading.ways import DIRECT, Way, refining
from redraft.benchmarks.grading.weighing import Answers, Weighed, samples, weigh
from redraft.benchmarks.output.plots import scatter
from redraft.benchmarks.output.results import Cell, Result, Table
from redraft.benchmarks.stats.intervals import Interval, wilson
from redraft.benchmarks.stats.pairs import p_shown
from redraft.server.options import option

SELF = "the model itself"
ALWAYS = ", every draft refined"
NOISES = (0.0, 0.05, 0.1, 0.2, 0.4)


@dataclass(frozen=True, kw_only=True)
class CriticQualityOptions(ExperimentOptions):
    noise: tuple[float, ...] = option("of the workbench's critics, with --workbench", NOISES)
    critic: tuple[str, ...] = option("with --url; repeat it", (), repeat=True)
    right_score: int = option("a verdict: no fault found", 10)


def main(arguments: Sequence[str]) -> int:
    options = read(CriticQualityOptions, "experiments critic-quality", arguments, __doc__)
    return conduct(options, measure, options.noise)


def measure(setting: Setting[CriticQualityOptions]) -> Result:
    options = setting.options
    named = options.critic if options.url else [critic_name(noise) for noise in options.noise]
    ways: dict[str, Way] = {"direct": DIRECT}
    by: dict[str, dict[str, str]] = {**{name: {"critic": name} for name in named}, SELF: {}}
    for name, critic in by.items():
        ways[name] = refining(1, **{**critic, "good_enough": options.right_score})
        ways[name + ALWAYS] = refining(1, **critic)
    answers = setting.ask(ways)
    weighed = weigh(answers, options.seed)
    verdicts = {name: verdicts_right(answers[name], options.right_score) for name in by}
    shown = {n: (share.estimate, weighed[n].right) for n, share in verdicts.items() if share.n}
    labels = ("verdicts on drafts that are right, %", "right after refining once, %")
    plot = scatter(options.out / "critic-quality.svg", shown, labels, from_zero=False)
    figures: dict[str, Any] = {name: each.json() for name, each in weighed.items()}
    figures["verdicts_right"] = verdicts
    about = "The same drafts refined once, on the feedback of critics of known quality."
    tables = (_table(weighed, verdicts),)
    return setting.result("critic-quality", about, ways, figures, tables, (plot,), samples(answers))


def verdicts_right(answers: Answers, right_score: int) -> Interval:
    """The percentage of drafts on which the critic's verdict was right."""
    verdicts = [
        (each.reply.scores[0] or 0) >= right_score if each.reply.scores else None
        for each in answers.values()
    ]
    agreed = sum(
        verdict is each.course[0]
        for verdict, each in zip(verdicts, answers.values(), strict=True)
        if verdict is not None
    )
    return wilson(agreed, len(verdicts) - verdicts.count(None)).scaled(100)


def _table(weighed: Mapping[str, Weighed], verdicts: Mapping[str, Interval]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name, each in weighed.items():
        flipped = each.flipped.shown
        if name.endswith(ALWAYS):
            continue
        compared: tuple[Cell, ...] = (None, None, None, None)
        if name != "direct":
            always = weighed[name + ALWAYS].right
            compared = (each.gain.difference, flipped, p_shown(each.flipped.p_value), always)
        rows.append((name, verdicts.get(name), each.right, *compared, each.malformed))
    columns: tuple[str, ...] = ("feedback by", "verdicts right %", "right after refining %")
    columns += ("gain on direct, points", "mended/spoiled", "p")
    columns += ("right if every draft is refined %", "unreadable")
    note = (
        "A verdict is right if the score says whether the draft is. noisy-0.2: a critic that is "
        "wrong in 20% of its verdicts. What is found without fault is not refined, but in the last "
        "share: there a critic that calls a wrong draft right may still show how to mend it. The "
        "model was trained on its own kind of feedback. 95% intervals; p: McNemar's exact test; "
        "unreadable feedback leaves the draft as it is."
    )
    return Table("Feedback by critics of known quality", columns, tuple(rows), note)
