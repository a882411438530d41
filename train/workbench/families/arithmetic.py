"""Closed families on numbers: a sum, a story of gains and losses, a pair with a given sum.

The working never adds more than one digit or one ten at a time: each step is a table look-up.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import ClassVar

from redraft.train.workbench.families.family import (
    NAME,
    NUMBER,
    NUMBERS,
    WORD,
    Family,
    Findings,
    Slots,
    examine_list,
    examine_number,
    listed,
    numbers_in,
)
from redraft.train.workbench.families.lexicon import GAINS, LOSSES, PEOPLE, THINGS

LARGEST = 99


def steps(total: int, change: int) -> list[int]:
    """From ``total`` to ``total + change``: the tens first, then the ones."""
    ones = abs(change) % 10 * (1 if change > 0 else -1)
    middle = total + change - ones
    return list(dict.fromkeys(step for step in (middle, total + change) if step != total))


class Total(Family):
    """Add several numbers."""

    name = "total"
    wordings: ClassVar[tuple[str, ...]] = (
        "Add {numbers}.",
        "Add up these numbers: {numbers}.",
        "What is {plus}?",
        "What is the total of {numbers}?",
        "Find the sum of these numbers: {numbers}.",
        "How much is {plus}?",
        "Find the total of {numbers}.",
        "What is the sum of {numbers}?",
    )
    patterns: ClassVar[Mapping[str, str]] = {
        "numbers": NUMBERS,
        "plus": rf"{NUMBER}(?: \+ {NUMBER})*",
    }

    def draw(self, rng: random.Random) -> dict[str, str]:
        while True:
            numbers = [rng.randint(2, 39) for _ in range(rng.randint(2, 5))]
            if sum(numbers) <= LARGEST:
                return {"numbers": listed(numbers), "plus": " + ".join(map(str, numbers))}

    def normalise(self, slots: dict[str, str]) -> dict[str, str]:
        return {"numbers": slots.get("numbers") or slots["plus"].replace(" +", ",")}

    def examine(self, slots: Slots, response: str) -> Findings:
        first, *others = numbers_in(slots["numbers"])
        total, working = first, [f"Start at {first}."]
        for number in others:
            working.append(f"Plus {number}: {listed(steps(total, number))}.")
            total += number
        better = f"The total is {total}."
        return examine_number(numbers_in(response), total, " ".join(working), better)


class Story(Family):
    """Someone has things, wins and loses some."""

    name = "story"
    wordings: ClassVar[tuple[str, ...]] = (
        "Say {name} has {start} {things}, then {events}. How many {things} are left?",
        "At first {name} has {start} {things}. Then {name} {events}. "
        "How many {things} does {name} have now?",
        "There are {start} {things} in a box. Then {name} {events}. How many are left?",
        "How many {things} does {name} have now? At first {start}, then {name} {events}.",
        "With {start} {things} at first, {name} {events}. How many are there now?",
        "How many {things} are left? At first there are {start}, then {name} {events}.",
        "At first there are {start} {things}. Then {name} {events}. How many are left?",
        "How many {things} are there now? At first {name} has {start}, then {name} {events}.",
    )
    patterns: ClassVar[Mapping[str, str]] = {
        "name": NAME,
        "start": NUMBER,
        "things": WORD,
        "events": rf"{WORD} {NUMBER}(?:, {WORD} {NUMBER})*",
    }

    def draw(self, rng: random.Random) -> dict[str, str]:
        total = start = rng.randint(10, 80)
        events = []
        for _ in range(rng.randint(1, 4)):
            number = rng.randint(2, 29)
            gain = total - number < 0 or (total + number <= LARGEST and rng.random() < 0.5)
            total += number if gain else -number
            events.append(f"{rng.choice(GAINS if gain else LOSSES)} {number}")
        return {
            "name": rng.choice(PEOPLE),
            "start": str(start),
            "things": rng.choice(THINGS),
            "events": listed(events),
        }

    def examine(self, slots: Slots, response: str) -> Findings:
        total = int(slots["start"])
        working = [f"Start at {total}."]
        for event in slots["events"].split(", "):
            change = self._change(event)
            sign = "Plus" if change > 0 else "Minus"
            working.append(f"{sign} {abs(change)}: {listed(steps(total, change))}.")
            total += change
        better = f"There are {total}."
        return examine_number(numbers_in(response), total, " ".join(working), better)

    @staticmethod
    def _change(event: str) -> int:
        verb, number = event.split(" ")
        return int(number) if verb in GAINS else -int(number)


class PairSum(Family):
    """Find the two numbers of a list that add up to a given one."""

    name = "pair"
    wordings: ClassVar[tuple[str, ...]] = (
        "Which two of these numbers add up to {target}: {numbers}?",
        "Find two numbers that add up to {target}: {numbers}.",
        "Which two numbers in this list make {target}: {numbers}?",
        "Find the pair that makes {target} in this list: {numbers}.",
        "Which pair of these numbers makes {target}: {numbers}?",
        "Give the two numbers that make {target}: {numbers}.",
        "Find the two numbers in this list that add up to {target}: {numbers}.",
        "Which pair in this list makes {target}: {numbers}?",
    )
    patterns: ClassVar[Mapping[str, str]] = {"target": NUMBER, "numbers": NUMBERS}

    def draw(self, rng: random.Random) -> dict[str, str]:
        while True:
            target = rng.randrange(30, 100, 10)
            first = rng.randint(2, target // 2 - 1)
            others = rng.sample(range(2, target - 1), rng.randint(1, 5))
            numbers = [*others, first, target - first]
            rng.shuffle(numbers)
            if len(set(numbers)) == len(numbers) and len(self._pairs(target, numbers)) == 1:
                return {"target": str(target), "numbers": listed(numbers)}

    @staticmethod
    def _pairs(target: int, numbers: list[int]) -> list[tuple[int, int]]:
        later = [(a, b) for i, a in enumerate(numbers) for b in numbers[i + 1 :]]
        return [(a, b) for a, b in later if a + b == target]

    def examine(self, slots: Slots, response: str) -> Findings:
        target, numbers = int(slots["target"]), numbers_in(slots["numbers"])
        pair = self._pairs(target, numbers)[0]
        tried = numbers[: numbers.index(pair[0]) + 1]
        working = [f"{number} needs {target - number}" for number in tried]
        text = f"{', no. '.join(working)}, yes."
        answered = numbers_in(response)
        if sorted(answered) == sorted(pair):
            answered = list(pair)  # either order is right
        better = f"They are {listed(pair)}."
        return examine_list(answered, pair, text, better)
