"""Which parts of the feedback matter: stage one retrained without each (the paper's Table 6).

    redraft bench experiments ablation --recipe workbench --limit 20000
    redraft bench experiments ablation --base runs/workbench/base \\
        --lessons runs/workbench/lessons/kept.jsonl

Every arm is the recipe's stage one from the same weights on the same lessons in the same order,
the feedback in them cut to some of its parts; "no feedback" learns to answer with the refinement
at once. Arms are compared by their answers to the same instructions. Nothing trained is trained
again; the same seed gives the same table.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from redraft.benchmarks.experiments import retraining
from redraft.benchmarks.experiments.arm_figures import (
    COLUMNS,
    Weighed,
    cells,
    failures,
    samples,
    weigh,
)
from redraft.benchmarks.experiments.arms import TOOLS, Arm, Tools
from redraft.benchmarks.output.plots import bars
from redraft.benchmarks.output.results import Cell, Result, Table
from redraft.server.refine.srt_format import COMPONENTS

ALL, BASE = "all feedback", "base model"


def main(arguments: Sequence[str], tools: Tools = TOOLS) -> int:
    return retraining.conduct(parser(), experiment, arguments, tools)


def parser() -> argparse.ArgumentParser:
    top = retraining.parser("ablation", __doc__)
    top.add_argument("--without", nargs="*", choices=COMPONENTS, default=COMPONENTS)
    return top


def arms(size: int, without: Sequence[str]) -> list[Arm]:
    left_out = [
        Arm(f"without {name}", size, tuple(kept for kept in COMPONENTS if kept != name))
        for name in reversed(COMPONENTS)
        if name in without
    ]
    return [Arm(ALL, size), *left_out, Arm("no feedback", size, ()), Arm(BASE, 0, ())]


def experiment(options: argparse.Namespace, tools: Tools) -> Result:
    shop = retraining.lesson_shop(options, tools)
    size = retraining.size(options, shop)
    found = retraining.trained(arms(size, options.without), shop)
    weighed = weigh(found, ALL, options.seed)
    answers = {each.arm.name: each.answer.scaled(100) for each in weighed}
    plot = bars(options.out / "ablation.svg", answers, "right answers, %", answers[ALL].estimate)
    figures = {
        "reference": ALL,
        "lessons": size,
        "arms": [each.json("lessons") for each in weighed],
    }
    return Result(
        "ablation",
        "Stage one retrained without parts of the feedback, each arm on the same instructions.",
        vars(options),
        figures,
        failures(found),
        (table(weighed, f"{retraining.how(options)}; {size} lessons"),),
        (plot,),
        samples(found),
        headline={each.arm.name: each.answer.scaled(100) for each in weighed},
    )


def table(weighed: Sequence[Weighed], how: str) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for each in weighed:
        gain: tuple[Cell, ...] = (each.gain.difference, each.gain.p_value)
        compared = gain if each.arm.name != ALL else (None, None)
        rows.append((each.arm.name, *cells(each), *compared))
    note = (
        f"{how}, refined once. Without feedback the answer is the draft. Against all: right "
        "answers, paired by instruction; p: McNemar's exact test. A verdict is right if the score "
        "is 10 exactly where the draft is right. 95% intervals."
    )
    columns = ("taught", *COLUMNS, "against all, points", "p")
    return Table("Feedback ablation", columns, tuple(rows), note)
