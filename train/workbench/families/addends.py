"""An open family on numbers: several even or odd numbers with a given sum, the first one given."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import ClassVar

from redraft.train.workbench.families.arithmetic import steps
from redraft.train.workbench.families.family import (
    NUMBER,
    Family,
    Findings,
    Slots,
    listed,
    numbers_in,
    right,
)
from redraft.train.workbench.families.naming import partial_score


def parity(number: int) -> str:
    return "odd" if number % 2 else "even"


class Addends(Family):
    """Give numbers that add up to a given one."""

    name = "addends"
    is_open = True
    wordings: ClassVar[tuple[str, ...]] = (
        "Give {n} {parity} numbers that add up to {total}, starting with {first}.",
        "Name {n} {parity} numbers that make {total}, starting with {first}.",
        "List {n} {parity} numbers that add up to {total}. Start with {first}.",
        "Starting with {first}, give {n} {parity} numbers that add up to {total}.",
        "Find {n} {parity} numbers that make {total}. Start with {first}.",
        "Start with {first} and find {n} {parity} numbers that add up to {total}.",
        "Find {n} {parity} numbers that add up to {total}, starting with {first}.",
        "Starting with {first}, name {n} {parity} numbers that make {total}.",
    )
    patterns: ClassVar[Mapping[str, str]] = {
        "n": "[2-5]",
        "parity": "even|odd",
        "total": NUMBER,
        "first": NUMBER,
    }

    def draw(self, rng: random.Random) -> dict[str, str]:
        while True:
            kind = rng.choice(("even", "odd"))
            wanted = rng.choice((3, 4, 5) if kind == "even" else (2, 4))
            total = rng.randrange(30, 100, 2)
            first = rng.randint(1, total // 2)
            if parity(first) == kind and total - first >= 2 * (wanted - 1):
                return {"n": str(wanted), "parity": kind, "total": str(total), "first": str(first)}

    @staticmethod
    def _say(numbers: Sequence[int]) -> str:
        return f"They are {listed(numbers)}."

    def answer(self, slots: Slots, rng: random.Random) -> str:
        wanted, total, numbers = int(slots["n"]), int(slots["total"]), [int(slots["first"])]
        while len(numbers) < wanted - 1:
            missing = wanted - len(numbers)
            largest = total - sum(numbers) - 2 * (missing - 1)
            choices = [n for n in range(1, largest + 1) if parity(n) == slots["parity"]]
            numbers.append(rng.choice(choices[: max(1, 2 * len(choices) // missing)]))
        return self._say([*numbers, total - sum(numbers)])

    def examine(self, slots: Slots, response: str) -> Findings:
        wanted, total = int(slots["n"]), int(slots["total"])
        items = numbers_in(response)
        working, reached, alike = [], 0, 0
        for item in items:
            fine = parity(item) == slots["parity"] and item > 0
            fine = fine and (alike > 0 or item == int(slots["first"]))
            if not fine or alike == wanted:
                working.append(f"{item} no.")
                break
            added = f": {listed(steps(reached, item))}" if reached else ""
            working.append(f"{item} {slots['parity']}{added}.")
            reached, alike = reached + item, alike + 1
        is_right = alike == len(items) == wanted and reached == total
        outcome = "right" if is_right else "wrong"
        verdict = f"So {alike} of {wanted} and {reached} of {total}, {outcome}."
        text = " ".join(working) if working else "Nothing is named."
        if is_right:
            return right(verdict, text, response)
        advice, better = self._mend(slots, items[:alike])
        score = partial_score(alike, wanted + 1)
        return Findings(score, text, verdict, advice, self._say(better))

    @staticmethod
    def _mend(slots: Slots, good: Sequence[int]) -> tuple[str, list[int]]:
        """Keep as many of the good numbers as leave room for the others."""
        wanted, total = int(slots["n"]), int(slots["total"])
        smallest = 2 if slots["parity"] == "even" else 1
        kept = list(good[: wanted - 1]) or [int(slots["first"])]
        while len(kept) > 1 and total - sum(kept) < smallest * (wanted - len(kept)):
            kept.pop()
        small = [smallest] * (wanted - len(kept) - 1)
        better = [*kept, *small, total - sum(kept) - sum(small)]
        left = listed(steps(total, -sum(kept)))
        return f"Keep {listed(kept)}, {sum(kept)}. Left {left}. Say {listed(better)}.", better
