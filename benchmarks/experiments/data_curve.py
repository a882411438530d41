"""How much data a stage needs: retrained on 1/16, 1/8, 1/4, 1/2 and all of it (paper, Figure 5).

    redraft bench experiments data-curve --recipe workbench --limit 20000
    redraft bench experiments data-curve --stage 2 --stage1 runs/workbench/stage1 \\
        --pairs runs/workbench/pairs/pairs.jsonl

Every arm is the recipe's stage from the same weights on the first so many lessons (stage 2:
pairs): the same recipe with less data, so as many epochs and fewer steps; with
``--set trainer.max_steps=N`` all arms have as many steps, and so more epochs of less. Arms are
compared by their answers to the same instructions. Nothing trained is trained again; the same
seed gives the same table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from redraft.benchmarks.commands.options import read
from redraft.benchmarks.experiments import retraining
from redraft.benchmarks.experiments.arm_figures import WeighedArm, failures, samples, table, weigh
from redraft.benchmarks.experiments.arms import (
    TOOLS,
    Arm,
    ArmSettings,
    RetrainingOptions,
    Tools,
    measured,
)
from redraft.benchmarks.output.plots import lines
from redraft.benchmarks.output.results import Result
from redraft.benchmarks.stats.intervals import Interval
from redraft.server.options import ConfigError, option

PARTS = (16, 8, 4, 2, 1)


@dataclass(frozen=True, kw_only=True)
class DataCurveOptions(RetrainingOptions):
    stage: Literal[1, 2] = option("which is retrained", 1)
    stage1: Path | None = option("the model stage 2 starts from", None)
    pairs: Path | None = option("pairs.jsonl of preferences, for stage 2", None)
    sizes: tuple[int, ...] = option("how much data; none: 1/16 to all of it", ())
    out: Path = option("folder for the results", Path("runs/experiments/data-curve"))


def main(arguments: Sequence[str], tools: Tools = TOOLS) -> int:
    options = read(DataCurveOptions, "experiments data-curve", arguments, __doc__)
    return retraining.finish(experiment(options, tools), options)


def experiment(options: DataCurveOptions, tools: Tools) -> Result:
    make_settings = retraining.lesson_settings if options.stage == 1 else _pair_settings
    settings = make_settings(options, tools)
    whole = retraining.size(options, settings)
    sizes = sorted(set(options.sizes or (whole // part for part in PARTS)) - {0})
    if sizes[-1] > whole:
        raise ConfigError(f"--sizes {sizes[-1]}: there are {whole} {settings.takes}")
    # Without a lesson it cannot refine: the base model answers directly.
    start = Arm("base model", 0, ()) if options.stage == 1 else Arm("stage 1", 0)
    arms = [start, *(Arm(f"{size} {settings.takes}", size) for size in sizes)]
    trained = [measured(arm, settings) for arm in arms]
    whole_arm = arms[-1].name
    weighed = weigh(trained, whole_arm, options.seed)
    name = f"data-curve-stage{options.stage}"
    plot = lines(
        options.out / f"{name}.svg",
        curves(weighed),
        (settings.takes, "right, %"),
        logarithmic=options.stage == 1,
    )
    figures = {"reference": whole_arm, "arms": [each.json(settings.takes) for each in weighed]}
    note = f"{retraining.how(options)}; each arm the first so many {settings.takes}."
    return Result(
        name,
        f"Stage {options.stage} retrained on less and less data, on the same instructions.",
        asdict(options),
        figures,
        failures(trained),
        (table(f"Stage {options.stage}: data curve", "trained on", weighed, whole_arm, note),),
        (plot,),
        samples(trained),
        headline={each.arm.name: each.answer.scaled(100) for each in weighed},
    )


def _pair_settings(options: DataCurveOptions, tools: Tools) -> ArmSettings:
    if not (options.stage1 and options.pairs):
        raise ConfigError("--stage 2 needs --stage1 MODEL and --pairs FILE")
    return ArmSettings(options, tools, "stage2", options.stage1, options.pairs)


def curves(weighed: Sequence[WeighedArm]) -> Mapping[str, Sequence[tuple[float, Interval]]]:
    refining = [each for each in weighed if each.arm.components]
    return {
        "draft": [(each.arm.size, each.draft.scaled(100)) for each in refining],
        "refined once": [(each.arm.size, each.answer.scaled(100)) for each in refining],
        "verdict on drafts": [(each.arm.size, each.verdict.scaled(100)) for each in refining],
    }
