"""What else the tokens of refining could buy: votes and longer sampling at equal compute.

    redraft bench experiments equal-compute --workbench models/redraft-workbench

First the price of refining once, twice and so on is measured. Then each alternative gets as many
drafts as that price buys, rounded up, so that the odd token is in its favour: a majority vote
(self-consistency), the best draft by the model's own score, and that best draft refined once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from redraft.benchmarks.commands.options import read
from redraft.benchmarks.experiments.deployment import MOST_DRAFTS
from redraft.benchmarks.experiments.options import ExperimentOptions
from redraft.benchmarks.experiments.setting import Setting, conduct
from redraft.benchmarks.grading import weighing
from redraft.benchmarks.grading.ways import DIRECT, Way, refining, reranking, voting
from redraft.benchmarks.grading.weighing import Answers, Weighed
from redraft.benchmarks.output.plots import lines
from redraft.benchmarks.output.results import Cell, Result, Table
from redraft.benchmarks.stats.intervals import Interval
from redraft.benchmarks.stats.pairs import p_shown
from redraft.server.options import option

KINDS = ("vote of", "best of", "refined best of")


@dataclass(frozen=True, slots=True)
class Prices:
    """Mean tokens of a draft, of a feedback and of a refinement."""

    draft: float
    feedback: float
    refinement: float

    def drafts_for(self, kind: str, tokens: float) -> int:
        """The fewest drafts that cost at least ``tokens``."""
        each = self.draft if kind == "vote of" else self.draft + self.feedback
        once = self.refinement if kind == "refined best of" else 0.0
        return max(2, math.ceil((tokens - once) / each))


@dataclass(frozen=True, slots=True)
class Rival:
    """An alternative with as many drafts as the tokens of ``iterations`` refinements buy."""

    iterations: int
    kind: str
    drafts: int

    @property
    def name(self) -> str:
        return f"{self.kind} {self.drafts}"

    @property
    def way(self) -> Way:
        ways = {
            "vote of": voting(self.drafts),
            "best of": reranking(self.drafts),
            "refined best of": refining(1, drafts=self.drafts),
        }
        return ways[self.kind]


@dataclass(frozen=True, kw_only=True)
class EqualComputeOptions(ExperimentOptions):
    iterations: tuple[int, ...] = option("refined so often", (1, 2))
    most_drafts: int = option("the server's cap", MOST_DRAFTS)


def main(arguments: Sequence[str]) -> int:
    options = read(EqualComputeOptions, "experiments equal-compute", arguments, __doc__)
    return conduct(options, measure)


def measure(setting: Setting[EqualComputeOptions]) -> Result:
    options = setting.options
    refined = {k: f"refine {k}" for k in options.iterations}
    ways: dict[str, Way] = {"direct": DIRECT, **{n: refining(k) for k, n in refined.items()}}
    answers = dict(setting.ask(ways))
    price = prices(answers["direct"], answers[refined[min(refined)]])
    costs = {
        k: fmean(a.reply.tokens for a in answers[name].values()) for k, name in refined.items()
    }
    rivals = list(_rivals(price, costs, options.most_drafts))
    answers |= setting.ask({rival.name: rival.way for rival in rivals})
    weighed = weighing.weigh(answers, options.seed)
    labels = ("tokens for an answer", "right, %")
    plot = lines(options.out / "equal-compute.svg", _curves(weighed), labels, logarithmic=True)
    figures = {name: each.json() for name, each in weighed.items()} | {
        "refining_minus": {
            f"refine {rival.iterations} - {rival.name}": weighing.gain(
                answers[refined[rival.iterations]], answers[rival.name], options.seed
            )
            for rival in rivals
        }
    }
    tables = (_compared(answers, rivals, options.seed), weighing.table("Every way", weighed))
    about = "Refining against votes and longer sampling that cost as many tokens."
    ways |= {rival.name: rival.way for rival in rivals}
    return setting.result(
        "equal-compute", about, ways, figures, tables, (plot,), weighing.samples(answers)
    )


def prices(direct: Answers, refined: Answers) -> Prices:
    replies = [each.reply for each in refined.values()]
    written = [tokens for reply in replies for tokens in reply.response_tokens[1:]]
    return Prices(
        fmean(each.reply.tokens for each in direct.values()),
        fmean(reply.feedback_tokens / max(1, len(reply.scores)) for reply in replies),
        fmean(written or [0]),
    )


def _rivals(price: Prices, costs: Mapping[int, float], most: int) -> Iterator[Rival]:
    for iterations, tokens in costs.items():
        for kind in KINDS:
            if kind == "refined best of" and iterations == 1:
                continue  # that is refining once, and a draft more
            drafts = price.drafts_for(kind, tokens)
            # A vote is the sum of plain requests, so no cap of the server's holds for it.
            yield Rival(iterations, kind, drafts if kind == "vote of" else min(drafts, most))


def _curves(weighed: Mapping[str, Weighed]) -> dict[str, list[tuple[float, Interval]]]:
    start = weighing.points(weighed)["direct"]
    curves: dict[str, list[tuple[float, Interval]]] = {}
    for kind in ("refine", *KINDS):
        named = {n: p for n, p in weighing.points(weighed).items() if n.rpartition(" ")[0] == kind}
        if named:
            curves[kind] = [start, *sorted(named.values(), key=lambda at: at[0])]
    return curves


def _compared(answers: Mapping[str, Answers], rivals: Sequence[Rival], seed: int) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for rival in rivals:
        ours, theirs = answers[f"refine {rival.iterations}"], answers[rival.name]
        compared, dearer = weighing.gain(ours, theirs, seed), weighing.spent(theirs, ours, seed)
        shares = (weighing.share_right(ours), weighing.share_right(theirs))
        ahead = (compared.difference, p_shown(compared.p_value))
        name = f"refine {rival.iterations}, or {rival.name}"
        rows.append((name, *shares, *ahead, dearer.difference))
    columns = ("compared", "refining right %", "other right %")
    note = "Paired by prompt, 95% intervals; p: sign test. Drafts as many as the tokens buy."
    more = ("refining ahead by, points", "p", "tokens the other has more")
    return Table("At equal compute", (*columns, *more), tuple(rows), note)
