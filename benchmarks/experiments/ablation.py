"""Which parts of the feedback matter: stage one retrained without each (the paper's Table 6).

    redraft bench experiments ablation --recipe workbench --limit 20000
    redraft bench experiments ablation --base runs/workbench/base \\
        --lessons runs/workbench/lessons/kept.jsonl

Every arm is the recipe's stage one from the same weights on the same lessons in the same order,
the feedback in them cut to some of its parts; "no feedback" learns to answer with the refinement
at once. With ``--own-drafts`` one more arm, as the paper's model, learns to draft as well where
the others leave it to the base. Arms are compared by their answers to the same instructions.
Nothing trained is trained again; the same seed gives the same table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

from redraft.benchmarks.commands.options import read
from redraft.benchmarks.experiments import retraining
from redraft.benchmarks.experiments.arm_figures import failures, samples, table, weigh
from redraft.benchmarks.experiments.arms import TOOLS, Arm, RetrainingOptions, Tools, measured
from redraft.benchmarks.output.plots import bars
from redraft.benchmarks.output.results import Result
from redraft.server.options import ConfigError, option
from redraft.server.refine.srt_format import COMPONENTS

Component = Literal["weaknesses", "suggestions", "score"]
ALL, BASE = "all feedback", "base model"
OWN_DRAFTS = "all feedback, and to draft"


@dataclass(frozen=True, kw_only=True)
class AblationOptions(RetrainingOptions):
    without: tuple[Component, ...] = option("left out, one at a time", get_args(Component))
    own_drafts: bool = option("with --ready adapter: an arm that learns to draft, too", False)
    out: Path = option("folder for the results", Path("runs/experiments/ablation"))

    def __post_init__(self) -> None:
        if self.own_drafts and self.ready != "adapter":
            raise ConfigError("--own-drafts needs --ready adapter; what is merged drafts itself")


def main(arguments: Sequence[str], tools: Tools = TOOLS) -> int:
    options = read(AblationOptions, "experiments ablation", arguments, __doc__)
    return retraining.finish(experiment(options, tools), options)


def arms(size: int, without: Sequence[str], own_drafts: bool = False) -> list[Arm]:
    left_out = [
        Arm(f"without {name}", size, tuple(kept for kept in COMPONENTS if kept != name))
        for name in reversed(COMPONENTS)
        if name in without
    ]
    drafting = [Arm(OWN_DRAFTS, size, drafts=True)] if own_drafts else []
    return [Arm(ALL, size), *drafting, *left_out, Arm("no feedback", size, ()), Arm(BASE, 0, ())]


def experiment(options: AblationOptions, tools: Tools) -> Result:
    settings = retraining.lesson_settings(options, tools)
    size = retraining.size(options, settings)
    trained = [measured(arm, settings) for arm in arms(size, options.without, options.own_drafts)]
    weighed = weigh(trained, ALL, options.seed)
    answers = {each.arm.name: each.answer.scaled(100) for each in weighed}
    plot = bars(options.out / "ablation.svg", answers, "right answers, %", answers[ALL].estimate)
    arms_json = [each.json("lessons") for each in weighed]
    figures = {"reference": ALL, "lessons": size, "arms": arms_json}
    note = (
        f"{retraining.how(options)}; {size} lessons, refined once. Without feedback the answer is "
        "the draft."
    )
    return Result(
        "ablation",
        "Stage one retrained without parts of the feedback, each arm on the same instructions.",
        asdict(options),
        figures,
        failures(trained),
        (table("Feedback ablation", "taught", weighed, ALL, note),),
        (plot,),
        samples(trained),
        headline=answers,
    )
