"""One kind of constraint: how it is said, what it draws, which check it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from redraft.train.constraints.topics import WORDS

Slots = Mapping[str, Any]  # what a wording is filled with
Json = dict[str, Any]

SPELLED = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


@dataclass(frozen=True, slots=True)
class ConstraintKind:
    """A kind, of which instances are drawn. Two kinds that settle one aspect of a response are
    never drawn together."""

    name: str
    draw: Callable[[Random], Slots]
    check: Callable[[Slots], Json]
    wordings: tuple[str, ...]  # the last is never trained on, where there are more than two
    aspects: frozenset[str]
    weight: float = 1.0


def kind(
    name: str,
    aspects: str,
    draw: Callable[[Random], Slots],
    check: Callable[[Slots], Json],
    *wordings: str,
    weight: float = 1.0,
) -> ConstraintKind:
    return ConstraintKind(name, draw, check, wordings, frozenset(aspects.split()), weight)


def nothing(_: Random) -> Slots:
    return {}


def number(*choices: int) -> Callable[[Random], Slots]:
    """One of the numbers: ``n`` as it is said, ``above`` for "fewer than", ``below`` for "more
    than", and ``count`` itself."""

    def draw(random: Random) -> Slots:
        return numbered(random, random.choice(choices))

    return draw


def numbered(random: Random, count: int) -> Slots:
    spelled = random.random() < 0.4

    def in_words(value: int) -> str:
        return SPELLED[value] if spelled and 0 <= value < len(SPELLED) else str(value)

    above, below = in_words(count + 1), in_words(count - 1)
    return {"count": count, "n": in_words(count), "above": above, "below": below}


def words(least: int, most: int) -> Callable[[Random], Slots]:
    """So many different words, as ``words`` and listed as ``quoted`` and ``plain``."""

    def draw(random: Random) -> Slots:
        chosen = random.sample(WORDS, random.randint(least, most))
        return {"words": chosen, "quoted": listed([f'"{w}"' for w in chosen]), **_plain(chosen)}

    return draw


def _plain(chosen: list[str]) -> Slots:
    return {"plain": ", ".join(chosen), "first": chosen[0]}


def listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def one_of(name: str, choices: tuple[str, ...]) -> Callable[[Random], Slots]:
    return lambda random: {name: random.choice(choices)}


def together(*draws: Callable[[Random], Slots]) -> Callable[[Random], Slots]:
    """The slots of several draws."""

    def draw(random: Random) -> Slots:
        return {name: value for each in draws for name, value in each(random).items()}

    return draw
