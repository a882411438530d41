"""Two runs on the same prompts, side by side: answers and verdicts, and what lies between them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from redraft.benchmarks.following.figures import LEVELS, Figures, MetCounts, verdict_of
from redraft.benchmarks.following.graded import GradedCourse
from redraft.benchmarks.following.tables import GRADERS, VERDICT
from redraft.benchmarks.output.results import Cell, Table
from redraft.benchmarks.stats.pairs import flips, p_shown


def against(ours: Sequence[GradedCourse], theirs: Sequence[GradedCourse], seed: int = 0) -> Figures:
    """Of the prompts with constraints that both have answered, in the order of ours."""
    answered = {each.prompt.text: each for each in theirs if each.prompt.kinds}
    both = [(each, answered[each.prompt.text]) for each in ours if each.prompt.text in answered]
    found = [each for each, _ in both], [each for _, each in both]
    graders = list(both[0][0].met) if both else []
    return {
        "prompts": len(both),
        "graders": {name: _by_grader(*found, name, seed) for name in graders},
    }


def _by_grader(
    ours: Sequence[GradedCourse], theirs: Sequence[GradedCourse], grader: str, seed: int
) -> Figures:
    met = [[each.met[grader][each.course.answer] for each in graded] for graded in (ours, theirs)]
    levels = {}
    for level in LEVELS:
        one, other = (MetCounts.at(level, verdicts) for verdicts in met)
        levels[level] = {
            "ours": one.share(seed),
            "theirs": other.share(seed),
            "difference": one.minus(other, seed),
        }
    one_right, other_right = ([all(each.strict) for each in verdicts] for verdicts in met)
    flipped = flips(other_right, one_right)
    return {
        "answers": levels,
        "only_ours": flipped.wrong_to_right,
        "only_theirs": flipped.right_to_wrong,
        "p_value": flipped.p_value,
        "verdict": {
            "ours": verdict_of(ours, grader, seed),
            "theirs": verdict_of(theirs, grader, seed),
        },
    }


def against_table(figures: Mapping[str, Any], what: str) -> Table:
    note = (
        f"The same {figures['prompts']} prompts, paired, with 95% intervals. Of answers right by "
        "one run alone, the numbers and McNemar's p."
    )
    title = f"Beside {what}"
    return Table(title, ("", "this run", what, "difference"), tuple(_rows(figures)), note)


def _rows(figures: Mapping[str, Any]) -> Iterator[tuple[Cell, ...]]:
    for name, found in figures["graders"].items():
        by = GRADERS[name]
        for level, each in found["answers"].items():
            yield (f"answers, {by}, {level}, %", each["ours"], each["theirs"], each["difference"])
        right = (found["only_ours"], found["only_theirs"], f"p {p_shown(found['p_value'])}")
        yield (f"answers right by it alone, {by}", *right)
        verdict = found["verdict"]
        for key, label in VERDICT.items():
            yield f"{label}, {by}", verdict["ours"].get(key), verdict["theirs"].get(key), None
