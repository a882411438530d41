"""What a gate saves: stop refining as soon as the model's own score is high enough.

    redraft bench experiments gate --workbench models/redraft-workbench

Without a gate every answer is refined; with one at 6 to 10, only those scored lower. A good gate
saves tokens and loses no right answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from redraft.benchmarks.commands.options import read
from redraft.benchmarks.experiments.options import ExperimentOptions
from redraft.benchmarks.experiments.setting import Setting, conduct
from redraft.benchmarks.grading import weighing
from redraft.benchmarks.grading.ways import DIRECT, Way, refining
from redraft.benchmarks.grading.weighing import Answers
from redraft.benchmarks.output.plots import scatter
from redraft.benchmarks.output.results import Cell, Result, Table
from redraft.benchmarks.stats.intervals import Interval, wilson
from redraft.benchmarks.stats.pairs import p_shown
from redraft.server.options import option

OPEN = "no gate"


@dataclass(frozen=True, kw_only=True)
class GateOptions(ExperimentOptions):
    iterations: int = option("most that are refined", 3, least=1)
    gates: tuple[int, ...] = option("scores that end a loop", (10, 9, 8, 7, 6))


def main(arguments: Sequence[str]) -> int:
    return conduct(read(GateOptions, "experiments gate", arguments, __doc__), measure)


def measure(setting: Setting[GateOptions]) -> Result:
    options = setting.options
    ways: dict[str, Way] = {OPEN: refining(options.iterations)}
    for gate in options.gates:
        ways[f"until {gate}"] = refining(options.iterations, good_enough=gate)
    ways["direct"] = DIRECT
    answers = setting.ask(ways)
    compared = {name: _against_open(answers, name, options.seed) for name in answers}
    labels = ("tokens for an answer", "right, %")
    shown = weighing.points(
        weighing.weigh({name: answers[name] for name in answers if name != "direct"}, options.seed)
    )
    plot = scatter(options.out / "gate.svg", shown, labels, from_zero=False)
    about = f"The model's own score as a gate, with up to {options.iterations} iterations."
    return setting.result(
        "gate", about, ways, compared, (_table(compared),), (plot,), weighing.samples(answers)
    )


def _against_open(answers: Mapping[str, Answers], name: str, seed: int) -> dict[str, Any]:
    ours, all_of_it = answers[name], answers[OPEN]
    price = sum(each.reply.tokens for each in all_of_it.values()) / len(all_of_it)
    refined = sum(len(each.reply.responses) > 1 for each in ours.values())
    compared = weighing.gain(ours, all_of_it, seed)
    return {
        "right": weighing.share_right(ours),
        "tokens_saved": weighing.spent(all_of_it, ours, seed).difference.scaled(100 / price),
        "tokens": sum(each.reply.tokens for each in ours.values()) / len(ours),
        "refined": wilson(refined, len(ours)).scaled(100),
        "difference": compared.difference,
        "won": compared.wins,
        "lost": compared.losses,
        "p_value": compared.p_value,
    }


def _table(compared: Mapping[str, Mapping[str, Any]]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name, each in compared.items():
        against: tuple[Interval | str | float | None, ...] = (None, None, None, None)
        if name != OPEN:
            flips = f"{each['won']}/{each['lost']}"
            against = (each["tokens_saved"], each["difference"], flips, p_shown(each["p_value"]))
        rows.append((name, each["right"], round(each["tokens"], 1), each["refined"], *against))
    columns: tuple[str, ...] = ("gate", "right %", "tokens", "refined at all, %")
    columns += ("tokens saved, %", f"right against {OPEN}, points", "gained/lost", "p")
    note = "Paired by prompt with no gate at all; 95% intervals; p: sign test."
    return Table("Gates", columns, tuple(rows), note)
