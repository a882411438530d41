"""What a request may ask for beside a policy, weighed against the policy: is any of it shown to be
worth it?

    answered = {"votes": {0: Answered(...), ...}, "candidates": {...}}
    shown = recommend_option(answered, policy_outcomes, seed)      None, where nothing is shown
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from redraft.benchmarks.grading.ways import Way
from redraft.benchmarks.grading.weighing import Answers, share_right
from redraft.benchmarks.output.results import Cell, Table
from redraft.benchmarks.stats.intervals import Interval, mean_interval
from redraft.benchmarks.stats.pairs import Comparison, compare, p_shown

OptionName = Literal["off", "checks", "votes", "candidates"]
OPTIONS: dict[OptionName, Way] = {
    "off": {"feedback_by": "off", "max_iterations": 1},
    "checks": {"checks": "auto", "max_iterations": 1},
    "votes": {"feedback_votes": 3, "max_iterations": 1, "good_enough": 10},
    "candidates": {"drafts": 2, "combine": "candidates", "max_iterations": 1},
}
ABOUT: dict[OptionName, str] = {
    "off": "refined without feedback",
    "checks": "by checks that the model reads out of the prompt",
    "votes": "3 feedbacks, until most of them say 10",
    "candidates": "one answer from 2 drafts",
}
Outcomes = Mapping[int, bool]  # whether the answer is right, by the place of the prompt


@dataclass(frozen=True, slots=True)
class WeighedOption:
    """One option on the prompts that it and the policy answered."""

    name: OptionName
    right: Interval  # percent
    ahead: Comparison  # of the policy, points
    tokens: Interval

    @classmethod
    def of(cls, name: OptionName, answers: Answers, policy: Outcomes, seed: int) -> WeighedOption:
        both = [place for place in policy if place in answers]
        of_both = {place: answers[place] for place in both}
        ahead = compare(
            [100.0 * answers[place].right for place in both],
            [100.0 * policy[place] for place in both],
            seed,
        )
        tokens = mean_interval([float(each.reply.tokens) for each in of_both.values()], seed)
        return cls(name, share_right(of_both), ahead, tokens)

    def json(self) -> dict[str, Any]:
        return {
            "refine": OPTIONS[self.name],
            "right": self.right,
            "ahead_of_policy": self.ahead,
            "tokens": self.tokens,
        }


def recommend_option(
    answered: Mapping[OptionName, Answers], policy: Outcomes, seed: int
) -> OptionName | None:
    """The option with most right answers, if it is ahead of the policy on prompts that did not
    choose it: each half of the prompts chooses one that is measured on the other half."""
    places = [place for place in policy if all(place in each for each in answered.values())]
    if not answered or not places:
        return None
    even, odd = places[::2], places[1::2]
    ahead: list[float] = []
    for chosen_on, shown_on in ((even, odd), (odd, even)):
        of_chosen = answered[_best(answered, chosen_on)]
        ahead += [100.0 * (of_chosen[place].right - policy[place]) for place in shown_on]
    shown = compare(ahead, [0.0] * len(ahead), seed).difference
    return _best(answered, places) if shown.low > 0 else None


def _best(answered: Mapping[OptionName, Answers], places: Sequence[int]) -> OptionName:
    """The cheapest of those with most right answers."""

    def rank(name: OptionName) -> tuple[int, int]:
        replies = [answered[name][place] for place in places]
        return sum(each.right for each in replies), -sum(each.reply.tokens for each in replies)

    return max(answered, key=rank)


def table(weighed: Sequence[WeighedOption], recommended: OptionName | None, policy: str) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (
            f"{each.name}{' (recommended)' if each.name == recommended else ''}",
            ABOUT[each.name],
            each.right,
            each.ahead.difference,
            each.ahead.shown,
            p_shown(each.ahead.p_value),
            each.tokens,
        )
        for each in weighed
    ]
    columns = ("option", "", "right %", "ahead of the policy, points", "won/tied/lost")
    note = (
        f"Against the recommended policy ({policy}), paired by prompt; p: sign test. An option is "
        "recommended only if it is shown to be ahead, on prompts that did not choose it. A request "
        "asks for it; a manifest holds policies only."
    )
    return Table("Options of a request", (*columns, "p", "tokens"), tuple(rows), note)
