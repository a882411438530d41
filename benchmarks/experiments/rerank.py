"""Refining against re-ranking several drafts by the model's own score, at equal tokens too.

    redraft bench experiments rerank --workbench models/redraft-workbench

The paper's comparison (figure 4): one greedy refinement against the best of 16 drafts sampled at
a temperature of 0.7. Beside it, fewer drafts: the fewest that cost at least as many tokens as
refining are the comparison at equal tokens, with the odd token in favour of re-ranking.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from redraft.benchmarks.commands.options import read
from redraft.benchmarks.experiments.deployment import PAPER_DRAFTS
from redraft.benchmarks.experiments.options import ExperimentOptions
from redraft.benchmarks.experiments.setting import Setting, conduct
from redraft.benchmarks.grading import weighing
from redraft.benchmarks.grading.ways import DIRECT, Way, refining, reranking
from redraft.benchmarks.grading.weighing import Answers, Weighed
from redraft.benchmarks.output.plots import scatter
from redraft.benchmarks.output.results import Cell, Result, Table
from redraft.benchmarks.stats.pairs import p_shown
from redraft.server.options import option

REFINE = "refine"
GREEDY: Mapping[str, Any] = {"temperature": 0.0}
DRAFTS = (2, 3, 4, 8, PAPER_DRAFTS)


@dataclass(frozen=True, kw_only=True)
class RerankOptions(ExperimentOptions):
    drafts: tuple[int, ...] = option("numbers of drafts to choose among", DRAFTS)


def main(arguments: Sequence[str]) -> int:
    return conduct(read(RerankOptions, "experiments rerank", arguments, __doc__), measure)


def measure(setting: Setting[RerankOptions]) -> Result:
    options = setting.options
    ways: dict[str, Way] = {"direct": DIRECT, "direct, greedy": {**DIRECT, **GREEDY}}
    ways |= {f"{REFINE}, sampled draft": refining(1), REFINE: refining(1, **GREEDY)}
    ways |= {reranked(number): reranking(number) for number in options.drafts}
    answers = setting.ask(ways)
    weighed = weighing.weigh(answers, options.seed)
    against = {number: reranked(number) for number in options.drafts}
    equal = equally_dear(weighed, list(against.values()))
    labels = ("tokens for an answer", "right, %")
    plot = scatter(options.out / "rerank.svg", weighing.points(weighed), labels)
    figures = {name: each.json() for name, each in weighed.items()} | {
        "equal_tokens": equal,
        "refining_minus": {
            name: weighing.gain(answers[REFINE], answers[name], options.seed)
            for name in against.values()
        },
    }
    compared = _compared(answers, against, equal, options.seed)
    tables = (compared, weighing.table("Every way", weighed))
    about = "Refining once against re-ranking drafts by the model's own score."
    return setting.result(
        "rerank", about, ways, figures, tables, (plot,), weighing.samples(answers)
    )


def reranked(number: int) -> str:
    return f"best of {number}"


def equally_dear(weighed: Mapping[str, Weighed], names: Sequence[str]) -> str | None:
    """The cheapest way that costs at least as much as refining, or None."""
    price = weighed[REFINE].tokens.estimate
    able = [name for name in names if weighed[name].tokens.estimate >= price]
    return min(able, key=lambda name: weighed[name].tokens.estimate, default=None)


def _compared(
    answers: Mapping[str, Answers], against: Mapping[int, str], equal: str | None, seed: int
) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for number, name in against.items():
        notes = {"equal tokens": name == equal, "the paper's": number == PAPER_DRAFTS}
        remarks = ", ".join(note for note, holds in notes.items() if holds)
        compared = weighing.gain(answers[REFINE], answers[name], seed)
        preferred = 100 * (compared.wins + compared.ties / 2) / compared.difference.n
        dearer = weighing.spent(answers[REFINE], answers[name], seed)
        ahead = (compared.difference, compared.shown, round(preferred, 1))
        shown = f"{name} ({remarks})" if remarks else name
        rows.append((shown, *ahead, dearer.difference, p_shown(compared.p_value)))
    columns = ("refining against", "refining ahead by, points", "won/tied/lost", "refining wins, %")
    note = (
        "Paired by prompt, 95% intervals; p: sign test. Wins count ties half. The paper's, judged "
        "by GPT-4 on AlpacaEval, refining against the best of 16: 55.4, 58.3 and 61.7% at 7B, 13B "
        "and 70B (arXiv 2406.07168, figure 4)."
    )
    more = ("tokens refining has more", "p")
    return Table("Refining against re-ranking", (*columns, *more), tuple(rows), note)
