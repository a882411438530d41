"""The figures as tables."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from redraft.benchmarks.grading.graders import CHECKS, PUBLISHED
from redraft.benchmarks.output.results import Cell, Table

GRADERS = {PUBLISHED: "IFEval's checkers", CHECKS: "Redraft's checks"}
_LOOP = {
    "changed": "answers that are not the draft, %",
    "readable": "feedback that can be read, %",
    "length_ratio": "length of a changed answer, % of its draft's",
    "draft_tokens": "tokens of a draft",
    "tokens": "tokens of an answer, all phases",
    "more_tokens": "tokens of refining",
    "draft_read": "prompt tokens of a draft that no cache had",
    "read": "of all phases, likewise",
    "time_ratio": "time of an answer, % of its draft's; alone with --concurrency 1",
}
VERDICT = {
    "good_left_alone": "good drafts called good, %",
    "wrong_found": "others called wrong, %",
    "balanced_accuracy": "both in the mean, %",
}
_LEFT_ALONE = {
    "unchanged": "without constraints: answers that are the draft, %",
    "called_right": "without constraints: drafts called good, %",
}


def tables(figures: Mapping[str, Any], what: str) -> tuple[Table, ...]:
    found = [_loop(figures)]
    if figures["graders"]:
        found = [_levels(figures, what), _loop(figures), _kinds(figures)]
    if "agreement" in figures:
        found.append(_agreement(figures))
    return tuple(found)


def _levels(figures: Mapping[str, Any], what: str) -> Table:
    rows: list[tuple[Cell, ...]] = []
    stages: Collection[str] = ()
    for name, of_grader in figures["graders"].items():
        stages = of_grader["shares"]
        for level in of_grader["shares"]["draft"]:
            shares = [of_grader["shares"][stage][level] for stage in stages]
            gains = [of_grader["gains"][stage][level] for stage in stages if stage != "draft"]
            rows.append((f"{GRADERS[name]}, {level}", *shares, *gains[-1:]))
    gain = (f"{list(stages)[-1]} minus draft",) if len(stages) > 1 else ()
    note = (
        "95% intervals: Wilson's for prompts; by bootstrap over prompts for constraints and, "
        "paired, for differences. Strict: as it stands; loose: also without its first or last line "
        "or emphasis."
    )
    return Table(f"{what}, % met", ("", *stages, *gain), tuple(rows), note)


def _loop(figures: Mapping[str, Any]) -> Table:
    return Table("The loop", ("", "", "numbers"), tuple(_loop_rows(figures)))


def _loop_rows(figures: Mapping[str, Any]) -> Iterator[tuple[Cell, ...]]:
    for name, of_grader in figures["graders"].items():
        if flipped := of_grader.get("flips"):
            numbers = flipped["numbers"]
            by = f"%, by {GRADERS[name]}"
            yield f"mended, {by}", flipped["mended"], numbers["wrong_to_right"]
            yield f"spoiled, {by}", flipped["spoiled"], numbers["right_to_wrong"]
        for key, label in VERDICT.items():
            if verdict := of_grader.get("verdict"):
                yield f"{label}, by {GRADERS[name]}", verdict[key], verdict[key].n
    for key, label in _LEFT_ALONE.items():
        if free := figures.get("unconstrained"):
            yield label, free[key], free[key].n
    for key, label in _LOOP.items():
        value = figures["loop"][key]
        yield label, value, value.n
    for reason, number in figures["loop"]["stop_reasons"].items():
        yield f"ended by {reason}", None, number


def _kinds(figures: Mapping[str, Any]) -> Table:
    graders = figures["graders"]
    first = next(iter(graders.values()))
    columns = [f"{stage}, {GRADERS[name]}" for name in graders for stage in first["shares"]]
    rows = [
        (
            kind,
            counts["of"],
            *(each["kinds"][kind][stage] for each in graders.values() for stage in first["shares"]),
        )
        for kind, counts in first["kinds"].items()
    ]
    return Table("By kind, met strictly", ("kind", "of", *columns), tuple(rows))


def _agreement(figures: Mapping[str, Any]) -> Table:
    names = list(figures["graders"])
    differing = [
        (kind, counts["texts"], *(counts[f"only {name}"] for name in names))
        for kind, counts in figures["agreement"].items()
        if any(counts[f"only {name}"] for name in names)
    ]
    columns = ("kind", "texts", *(f"met by {GRADERS[name]} only" for name in names))
    note = "Kinds without a difference are left out. docs/checks.md says what they differ in."
    return Table("Where the graders differ", columns, tuple(differing), note)
