"""How often to refine: the share of right answers after each iteration, and every flip.

    redraft bench experiments iterations --workbench models/redraft-workbench

One loop for each prompt, without a gate, to its last iteration; the curve follows the responses
of these loops, so every point is paired with every other. A loop whose refinement repeats an
earlier response ends, and keeps its answer and its cost from there on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redraft.benchmarks.commands.options import read
from redraft.benchmarks.experiments.options import ExperimentOptions
from redraft.benchmarks.experiments.setting import Setting, conduct
from redraft.benchmarks.grading.ways import refining
from redraft.benchmarks.grading.weighing import Answered, Answers
from redraft.benchmarks.output.plots import lines
from redraft.benchmarks.output.results import Cell, Result, Table
from redraft.benchmarks.stats.intervals import Interval, mean_interval, wilson
from redraft.benchmarks.stats.pairs import Comparison, Flips, compare, flips, p_shown
from redraft.server.options import option


@dataclass(frozen=True, kw_only=True)
class IterationsOptions(ExperimentOptions):
    iterations: int = option("most that are refined", 4, least=1)


def main(arguments: Sequence[str]) -> int:
    return conduct(read(IterationsOptions, "experiments iterations", arguments, __doc__), measure)


@dataclass(frozen=True, slots=True)
class Point:
    """The state of all answers after one iteration."""

    iteration: int
    right: Interval
    tokens: Interval
    gain: Comparison  # on the draft, points
    flipped: Flips  # by this iteration alone
    changed: Interval  # percent of responses that this iteration changed

    def json(self) -> dict[str, Any]:
        return {
            "right": self.right,
            "tokens": self.tokens,
            "gain_on_draft": self.gain,
            "wrong_to_right": self.flipped.wrong_to_right,
            "right_to_wrong": self.flipped.right_to_wrong,
            "changed": self.changed,
        }


def measure(setting: Setting[IterationsOptions]) -> Result:
    options = setting.options
    way = refining(options.iterations)
    answers = setting.ask({"refine": way})["refine"]
    curve = [point(answers, k, options.seed) for k in range(options.iterations + 1)]
    labels = ("iterations", "right, %")
    shown = {"right": [(float(each.iteration), each.right) for each in curve]}
    plots = [lines(options.out / "iterations.svg", shown, labels, whole=True)]
    flipped = {
        "wrong made right": [_share(each, each.flipped.wrong_to_right) for each in curve[1:]],
        "right made wrong": [_share(each, each.flipped.right_to_wrong) for each in curve[1:]],
    }
    labels = ("iteration", "of all answers, %")
    plots.append(lines(options.out / "iterations-flips.svg", flipped, labels, whole=True))
    samples = [
        {"prompt": place, "right": each.course, "scores": each.reply.scores}
        for place, each in answers.items()
    ]
    about = "What each iteration gains, mends, spoils and costs."
    figures = {str(each.iteration): each.json() for each in curve}
    return setting.result(
        "iterations", about, {"refine": way}, figures, (_table(curve),), tuple(plots), samples
    )


def point(by_prompt: Answers, iteration: int, seed: int) -> Point:
    answers = list(by_prompt.values())
    before, now = (
        [after(answer, k) for answer in answers] for k in (max(0, iteration - 1), iteration)
    )
    drafts = [answer.course[0] for answer in answers]
    changed = sum(changes(answer, iteration) for answer in answers)
    return Point(
        iteration,
        wilson(sum(now), len(now)).scaled(100),
        mean_interval([cost(answer, iteration) for answer in answers], seed),
        compare([100.0 * right for right in now], [100.0 * right for right in drafts], seed),
        flips(before, now),
        wilson(changed, len(answers)).scaled(100),
    )


def after(answer: Answered, iteration: int) -> bool:
    return answer.course[min(iteration, len(answer.course) - 1)]


def changes(answer: Answered, iteration: int) -> bool:
    """Whether this iteration changed the response."""
    responses = [response.strip() for response in answer.reply.responses]
    return 0 < iteration < len(responses) and responses[iteration] != responses[iteration - 1]


def cost(answer: Answered, iteration: int) -> float:
    """Tokens up to this iteration. Feedback counts with its mean over the loop."""
    reply = answer.reply
    written = max(1, len(reply.scores))  # none could be read: it was paid for all the same
    feedback = reply.feedback_tokens * min(iteration, written) / written
    return sum(reply.response_tokens[: iteration + 1]) + feedback


def _share(each: Point, count: int) -> tuple[float, Interval]:
    return float(each.iteration), wilson(count, each.right.n).scaled(100)


def _table(curve: Sequence[Point]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for each in curve:
        compared: tuple[Cell, ...] = (None, None, None, None)
        if each.iteration:
            mended = (each.flipped.shown, p_shown(each.flipped.p_value))
            compared = (each.gain.difference, *mended, each.changed)
        name = f"iteration {each.iteration}" if each.iteration else "draft"
        rows.append((name, each.right, *compared, each.tokens))
    columns = ("after", "right %", "gain on draft, points", "mended/spoiled by this one", "p")
    note = (
        "Mended/spoiled: wrong answers made right and right ones made wrong by this iteration "
        "alone; p: McNemar's exact test of it. Tokens: all phases so far. 95% intervals."
    )
    more = ("changed by this one, %", "tokens")
    return Table("Iterations", (*columns, *more), tuple(rows), note)
