"""Closed families on lists: keep some of the numbers, put numbers in order, reverse words, count a
letter in them."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping
from typing import ClassVar

from redraft.train.workbench.families.family import (
    NUMBERS,
    WORDS,
    Family,
    Findings,
    Slots,
    examine_list,
    examine_number,
    known_words_in,
    listed,
    numbers_in,
)
from redraft.train.workbench.families.lexicon import WORDS as LEXICON

_COMMON = 7  # letters asked for come from the words' most frequent ones


def _test(condition: str) -> Callable[[int], bool]:
    kind, *bound = condition.split(" ")
    limit = int(bound[0]) if bound else 0
    return {
        "even": lambda number: number % 2 == 0,
        "odd": lambda number: number % 2 == 1,
        "above": lambda number: number > limit,
        "below": lambda number: number < limit,
    }[kind]


class Keep(Family):
    """Keep the numbers of a list that meet a condition."""

    name = "keep"
    wordings: ClassVar[tuple[str, ...]] = (
        "Keep only the numbers that are {condition}: {numbers}.",
        "Which of these numbers are {condition}: {numbers}?",
        "From this list, keep what is {condition}: {numbers}.",
        "Find the numbers that are {condition}: {numbers}.",
        "List the numbers that are {condition}: {numbers}.",
        "Which numbers in this list are {condition}: {numbers}?",
        "From this list, keep the numbers that are {condition}: {numbers}.",
        "Find only what is {condition}: {numbers}.",
    )
    patterns: ClassVar[Mapping[str, str]] = {
        "condition": r"even|odd|above \d+|below \d+",
        "numbers": NUMBERS,
    }

    def draw(self, rng: random.Random) -> dict[str, str]:
        while True:
            kind = rng.choice(("even", "odd", "above", "below"))
            condition = kind if kind in ("even", "odd") else f"{kind} {rng.randint(20, 80)}"
            numbers = rng.sample(range(100), rng.randint(3, 7))
            if 1 <= len([number for number in numbers if _test(condition)(number)]) <= 6:
                return {"condition": condition, "numbers": listed(numbers)}

    def examine(self, slots: Slots, response: str) -> Findings:
        keep, numbers = _test(slots["condition"]), numbers_in(slots["numbers"])
        working = listed([f"{number} {'yes' if keep(number) else 'no'}" for number in numbers])
        kept = [number for number in numbers if keep(number)]
        text = f"{working}. So {listed(kept)}."
        return examine_list(numbers_in(response), kept, text, f"They are {listed(kept)}.")


class Sort(Family):
    """Put numbers in order."""

    name = "sort"
    wordings: ClassVar[tuple[str, ...]] = (
        "Sort these numbers, {order}: {numbers}.",
        "Put these numbers in order, {order}: {numbers}.",
        "Sort this list, {order}: {numbers}.",
        "List these numbers in order, {order}: {numbers}.",
        "Give these numbers in order, {order}: {numbers}.",
        "What is the order of these numbers, {order}: {numbers}?",
        "Put this list in order, {order}: {numbers}.",
        "What is the order of this list, {order}: {numbers}?",
    )
    patterns: ClassVar[Mapping[str, str]] = {
        "order": "smallest first|largest first",
        "numbers": NUMBERS,
    }

    def draw(self, rng: random.Random) -> dict[str, str]:
        numbers = rng.sample(range(100), rng.randint(3, 7))
        order = rng.choice(("smallest first", "largest first"))
        return {"order": order, "numbers": listed(numbers)}

    def examine(self, slots: Slots, response: str) -> Findings:
        numbers, largest_first = numbers_in(slots["numbers"]), slots["order"] == "largest first"
        # One number more at a time: each list is the one before, with one number put in.
        parts = [
            sorted(numbers[:count], reverse=largest_first) for count in range(1, len(numbers) + 1)
        ]
        text = f"{'; '.join(map(listed, parts))}."
        ordered = parts[-1]
        return examine_list(numbers_in(response), ordered, text, f"In order: {listed(ordered)}.")


class Reverse(Family):
    """Give words in the opposite order."""

    name = "reverse"
    wordings: ClassVar[tuple[str, ...]] = (
        "Reverse this list: {words}.",
        "Give these words in reverse order: {words}.",
        "List these words in reverse: {words}.",
        "Put this list in reverse order: {words}.",
        "What is the reverse of this list: {words}?",
        "Reverse the order of these words: {words}.",
        "Put these words in reverse order: {words}.",
        "Give this list in reverse: {words}.",
    )
    patterns: ClassVar[Mapping[str, str]] = {"words": WORDS}

    def draw(self, rng: random.Random) -> dict[str, str]:
        return {"words": listed(rng.sample(LEXICON, rng.randint(2, 6)))}

    def examine(self, slots: Slots, response: str) -> Findings:
        expected = slots["words"].split(", ")[::-1]
        text = f"From the end: {listed(expected)}."
        items = known_words_in(response)
        return examine_list(items, expected, text, f"In reverse: {listed(expected)}.")


class Letters(Family):
    """Count a letter over several words."""

    name = "letters"
    wordings: ClassVar[tuple[str, ...]] = (
        "How many times is the letter {letter} in these words: {words}?",
        "Count the letter {letter} in these words: {words}.",
        "How often is the letter {letter} in this list: {words}?",
        "Count how often {letter} is in these words: {words}.",
        "Find how many times the letter {letter} is in: {words}.",
        "In these words, how many letters are {letter}: {words}?",
        "How many letters are {letter} in this list: {words}?",
        "Count how many times the letter {letter} is in this list: {words}.",
    )
    patterns: ClassVar[Mapping[str, str]] = {"letter": "[a-z]", "words": WORDS}

    def draw(self, rng: random.Random) -> dict[str, str]:
        words = rng.sample(LEXICON, rng.randint(1, 5))
        common = [letter for letter, _ in Counter("".join(words)).most_common(_COMMON)]
        return {"letter": rng.choice(common), "words": listed(words)}

    def examine(self, slots: Slots, response: str) -> Findings:
        count, working = 0, []
        for word in slots["words"].split(", "):
            steps = [word]
            for letter in word:
                steps.append(letter)
                if letter == slots["letter"]:
                    count += 1
                    steps.append(str(count))  # counted where it is seen
            working.append(" ".join(steps))
        text = f"{', '.join(working)}."
        return examine_number(numbers_in(response), count, text, f"The count is {count}.")
