"""Every experiment that asks a model, one after the other, on servers started once.

    redraft bench experiments all --workbench models/redraft-workbench --out runs/experiments

Those that train models of their own (ablation, data-curve) are run by their names.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from redraft.benchmarks.experiments import (
    cost_benefit,
    critic_quality,
    equal_compute,
    gate,
    iterations,
    rerank,
    setting,
    wordings,
)
from redraft.benchmarks.experiments.deployment import deployed

EXPERIMENTS = (iterations, rerank, equal_compute, gate, critic_quality, wordings, cost_benefit)


def main(arguments: Sequence[str]) -> int:
    options = setting.read(parser(), arguments)
    # Each with its own options' defaults beside what is given to all.
    planned = [(module.measure, module.parser().parse_args(arguments)) for module in EXPERIMENTS]
    with deployed(options, critic_quality.NOISES) as deployment:
        return max(setting.run(measure, its, deployment) for measure, its in planned)


def parser() -> argparse.ArgumentParser:
    return setting.parser("all", __doc__)
