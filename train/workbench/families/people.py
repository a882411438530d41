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

    def examine(self, slots: Slots, response: str) -> Findings:
        holder_of = {colour: name for name, colour in _pairs(slots["holdings"], " ")}
        holder = holder_of[slots["ball"]]
        working = [f"{slots['ball']} {holder}"]
        for one, other in _pairs(slots["swaps"], " and "):
            holder = {one: other, other: one}.get(holder, holder)
            working.append(f"{one} and {other}: {holder}")
        text = f"At first {'. '.join(working)}."
        items = [name for name in re.findall(NAME, response) if name in PEOPLE]
        return examine_choice(items, holder, text, f"It is with {holder}.")


def _pairs(text: str, between: str) -> list[list[str]]:
    return [item.split(between) for item in text.split(", ")]
