"""A closed family on the letters of words."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from typing import ClassVar

from redraft.train.workbench.families.family import (
    WORDS,
    Family,
    Findings,
    Slots,
    examine_number,
    listed,
    numbers_in,
)
from redraft.train.workbench.families.lexicon import WORDS as LEXICON

_COMMON = 7  # letters asked for come from the words' most frequent ones


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
