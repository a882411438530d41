"""Figures and tables of arms: shares of right answers, compared with one of the arms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from redraft.benchmarks.experiments.arms import Arm, MeasuredArm
from redraft.benchmarks.experiments.exams import Row
from redraft.benchmarks.output.results import Cell, Table
from redraft.benchmarks.stats.intervals import Interval, mean_interval, wilson
from redraft.benchmarks.stats.pairs import Comparison, Flips, compare, flips

# Where a loop ended for another reason, the answer is not the model's doing.
DECIDED = ("max_iterations", "no_change", "malformed_feedback")


@dataclass(frozen=True, slots=True)
class WeighedArm:
    """The figures of one arm. A user gets the last response: the refinement, or the only answer."""

    arm: Arm
    steps: int
    draft: Interval
    answer: Interval
    verdict: Interval  # feedback on drafts that took right for right and wrong for wrong
    flipped: Flips  # by refining
    gain: Comparison  # on the reference, in points, instruction by instruction
    malformed: int  # answers whose feedback could not be read: the draft stands

    def json(self, takes: str) -> dict[str, Any]:
        """``takes``: what ``arm.size`` counts, "lessons" or "pairs"."""
        refines = bool(self.arm.components)
        return {
            "name": self.arm.name,
            "components": self.arm.components,
            takes: self.arm.size,
            "steps": self.steps,
            "right": {
                "draft": share(self.draft),
                "refined_1": share(self.answer) if refines else None,
            },
            "verdict": share(self.verdict) if self.verdict.n else None,
            "wrong_to_right": self.flipped.wrong_to_right,
            "right_to_wrong": self.flipped.right_to_wrong,
            "gain": self.gain,
            "malformed": self.malformed,
        }


def share(interval: Interval) -> dict[str, Any]:
    """A share in the form of the model card."""
    if not interval.n:
        return {"count": 0, "of": 0, "low": 0.0, "high": 1.0}
    count, low, high = round(interval.estimate * interval.n), interval.low, interval.high
    return {"count": count, "of": interval.n, "low": round(low, 6), "high": round(high, 6)}


def weigh(arms: Sequence[MeasuredArm], reference: str, seed: int) -> list[WeighedArm]:
    """The figures of every arm, compared with the arm named ``reference``."""
    (against,) = (each for each in arms if each.arm.name == reference)
    return [_weighed(each, against, seed) for each in arms]


def _weighed(one: MeasuredArm, reference: MeasuredArm, seed: int) -> WeighedArm:
    rows = decided(one.rows)
    ours, theirs = by_instruction(rows, _right), by_instruction(decided(reference.rows), _right)
    both = [name for name in ours if name in theirs]
    gain = compare([100 * ours[name] for name in both], [100 * theirs[name] for name in both], seed)
    judged = [row for row in rows if row["verdict"] is not None]
    return WeighedArm(
        one.arm,
        one.steps,
        _share(rows, _drafted, seed),
        _share(rows, _right, seed),
        _share(judged, lambda row: bool(row["verdict"]), seed),
        flips(list(map(_drafted, rows)), list(map(_right, rows))),
        gain,
        sum(row["stop_reason"] == "malformed_feedback" for row in rows),
    )


def _drafted(row: Row) -> bool:
    return bool(row["right"][0])


def _right(row: Row) -> bool:
    return bool(row["right"][-1])


def by_instruction(rows: Iterable[Row], holds: Callable[[Row], bool]) -> dict[str, float]:
    """The share of trainings in which it holds."""
    found: dict[str, list[bool]] = {}
    for row in rows:
        found.setdefault(row["instruction"], []).append(holds(row))
    return {name: fmean(each) for name, each in found.items()}


def _share(rows: Sequence[Row], holds: Callable[[Row], bool], seed: int) -> Interval:
    """Over instructions, of which several trainings are no further ones."""
    shares = list(by_instruction(rows, holds).values())
    if len(shares) == len(rows):
        return wilson(sum(shares), len(shares))
    return mean_interval(shares, seed)


def decided(rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if row["stop_reason"] in DECIDED]


def failures(arms: Iterable[MeasuredArm]) -> Counter[str]:
    """Loops that ended for a reason that says nothing about their model, by arm and reason."""
    return Counter(
        f"{each.arm.name}: {row['stop_reason']}"
        for each in arms
        for row in each.rows
        if row["stop_reason"] not in DECIDED
    )


NOTE = (
    "Against another: right answers, paired by instruction, the mean of an arm's trainings; p: a "
    "sign test, with one training each McNemar's. A verdict is right if the score is 10 exactly "
    "where the draft is right. 95% intervals."
)


def table(
    title: str, first_column: str, weighed: Sequence[WeighedArm], against: str, note: str
) -> Table:
    """A row for each arm, compared with the one named ``against``."""
    rows: list[tuple[Cell, ...]] = []
    for each in weighed:
        refined: tuple[Cell, ...] = (None, None, None, None)
        if each.arm.components:
            answer, verdict = each.answer.scaled(100), each.verdict.scaled(100)
            refined = (answer, each.flipped.shown, verdict, each.malformed)
        gain: tuple[Cell, ...] = (each.gain.difference, each.gain.p_value)
        compared = gain if each.arm.name != against else (None, None)
        rows.append((each.arm.name, each.steps, each.draft.scaled(100), *refined, *compared))
    columns = (first_column, "steps", "draft right %", "refined right %", "mended/spoiled")
    more = ("verdict right %", "unreadable", f"against {against}, points", "p")
    return Table(title, (*columns, *more), tuple(rows), f"{note} {NOTE}")


def samples(arms: Iterable[MeasuredArm]) -> list[dict[str, Any]]:
    kept = ("family", "instruction", "right", "verdict", "stop_reason", "tokens")
    return [
        {"arm": each.arm.name, **{name: row[name] for name in kept}}
        for each in arms
        for row in each.rows
    ]
