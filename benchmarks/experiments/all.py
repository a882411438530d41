"""Every experiment that asks a model, one after the other, on servers started once.

    redraft bench experiments all --workbench models/redraft-workbench --out runs/experiments

Those that train models of their own (ablation, data-curve) are run by their names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from redraft.benchmarks.commands.options import read
from redraft.benchmarks.experiments import (
    cost_benefit,
    critic_quality,
    equal_compute,
    gate,
    iterations,
    rerank,
    setting,
    ways,
    wordings,
)
from redraft.benchmarks.experiments.deployment import deployed
from redraft.benchmarks.experiments.options import ExperimentOptions
from redraft.benchmarks.experiments.setting import Measure

EXPERIMENTS: dict[str, tuple[type[ExperimentOptions], Measure[Any]]] = {
    "iterations": (iterations.IterationsOptions, iterations.measure),
    "rerank": (rerank.RerankOptions, rerank.measure),
    "equal-compute": (equal_compute.EqualComputeOptions, equal_compute.measure),
    "gate": (gate.GateOptions, gate.measure),
    "ways": (ways.WaysOptions, ways.measure),
    "critic-quality": (critic_quality.CriticQualityOptions, critic_quality.measure),
    "wordings": (wordings.WordingsOptions, wordings.measure),
    "cost-benefit": (cost_benefit.CostBenefitOptions, cost_benefit.measure),
}


def main(arguments: Sequence[str]) -> int:
    shared = read(ExperimentOptions, "experiments all", arguments, __doc__)
    with deployed(shared, critic_quality.NOISES) as deployment:
        return max(
            setting.run(own_options(**asdict(shared)), measure, deployment)
            for name, (own_options, measure) in EXPERIMENTS.items()
            if name != "wordings" or shared.match != "checks"  # it asks questions with answers
        )
