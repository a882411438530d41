"""A closed family on who holds what after several swaps."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from typing import ClassVar

from redraft.train.workbench.families.family import (
    NAME,
    WORD,
    Family,
    Findings,
    Slots,
    examine_choice,
    listed,
)
from redraft.train.workbench.families.lexicon import COLOURS, PEOPLE

_HOLDING = rf"{NAME} {WORD}"
_SWAP = rf"{NAME} and {NAME}"


class Swap(Family):
    """Follow one ball through several swaps."""

    name = "swap"
    wordings: ClassVar[tuple[str, ...]] = (
        "These people have balls: {holdings}. These swap: {swaps}. Who has {ball} now?",
        "Who has {ball} now? At first: {holdings}. Then these swap: {swaps}.",
        "Balls at first: {holdings}. Then they swap: {swaps}. Who has the {ball} ball?",
        "Who has the {ball} ball after they swap? At first: {holdings}. These swap: {swaps}.",
        "At first the balls are: {holdings}. Then swap: {swaps}. Who has {ball}?",
        "Find who has {ball} after they swap. Balls: {holdings}. These swap: {swaps}.",
        "Who has {ball} after they swap? Balls at first: {holdings}. Then they swap: {swaps}.",
        "At first these people have: {holdings}. Then they swap: {swaps}. Who has {ball} now?",
    )
    patterns: ClassVar[Mapping[str, str]] = {
        "holdings": rf"{_HOLDING}(?:, {_HOLDING})*",
        "swaps": rf"{_SWAP}(?:, {_SWAP})*",
        "ball": WORD,
    }

    def draw(self, rng: random.Random) -> dict[str, str]:
        people = rng.sample(PEOPLE, rng.randint(2, 5))
        colours = rng.sample(COLOURS, len(people))
        pairs = [rng.sample(people, 2) for _ in range(rng.randint(1, 5))]
        return {
            "holdings": listed([f"{p} {c}" for p, c in zip(people, colours, strict=True)]),
            "swaps": listed([f"{a} and {b}" for a, b in pairs]),
            "ball": rng.choice(colours),
        }

    def answer(self, slots: Slots, rng: random.Random) -> str:
        return f"It is with {self._holders(slots)[-1]}."

    @staticmethod
    def _holders(slots: Slots) -> list[str]:
        """Who has the ball at first and after each swap."""
        people = {colour: name for name, colour in _pairs(slots["holdings"], " ")}
        holders = [people[slots["ball"]]]
        for one, other in _pairs(slots["swaps"], " and "):
            holders.append({one: other, other: one}.get(holders[-1], holders[-1]))
        return holders

    def examine(self, slots: Slots, response: str) -> Findings:
        first, *others = self._holders(slots)
        working = [f"{slots['ball']} {first}"]
        for swap, holder in zip(slots["swaps"].split(", "), others, strict=True):
            working.append(f"{swap}: {holder}")
        last = (first, *others)[-1]
        text = f"At first {'. '.join(working)}."
        items = [name for name in re.findall(NAME, response) if name in PEOPLE]
        return examine_choice(items, last, text, f"It is with {last}.")


def _pairs(text: str, between: str) -> list[tuple[str, str]]:
    halves = (item.split(between) for item in text.split(", "))
    return [(one, other) for one, other in halves]
