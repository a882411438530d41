"""An open family on words: name several in alphabetical order, some first letters banned.

Many responses are right; the better response keeps what is good in the given one."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from typing import ClassVar

from redraft.train.workbench.families.family import (
    BEST_SCORE,
    Family,
    Findings,
    Slots,
    listed,
    right,
    wrong,
)
from redraft.train.workbench.families.lexicon import CATEGORIES

_CATEGORY = "|".join(CATEGORIES)


def items_in(response: str) -> list[str]:
    """What a response lists: the words behind its last colon, commas or "and" between them."""
    listing = response.rsplit(":", 1)[-1].strip().rstrip(".")
    return [item for item in re.split(r"\s*,\s*(?:and\s+)?|\s+and\s+|\s+", listing.lower()) if item]


def partial_score(good: int, wanted: int) -> int:
    return min(BEST_SCORE - 1, 2 + 6 * good // wanted)


class Names(Family):
    """Name things in alphabetical order, some first letters banned."""

    name = "names"
    is_open = True
    wordings: ClassVar[tuple[str, ...]] = (
        "Name {n} {category} in alphabetical order, none starting with {one} or {other}.",
        "Give {n} {category} in alphabetical order. None may start with {one} or {other}.",
        "List {n} {category} in alphabetical order, none starting with {one} or {other}.",
        "In alphabetical order, name {n} {category}, none starting with {one} or {other}.",
        "Name {n} {category}, none starting with {one} or {other}, in alphabetical order.",
        "In alphabetical order, list {n} {category}. None may start with {one} or {other}.",
        "Give {n} {category}, none starting with {one} or {other}, in alphabetical order.",
        "Name {n} {category} in alphabetical order. None may start with {one} or {other}.",
    )
    patterns: ClassVar[Mapping[str, str]] = {
        "n": "[2-5]",
        "category": _CATEGORY,
        "one": "[a-z]",
        "other": "[a-z]",
    }

    def draw(self, rng: random.Random) -> dict[str, str]:
        category = rng.choice(list(CATEGORIES))
        one, other = rng.sample(sorted({word[0] for word in CATEGORIES[category]}), 2)
        return {"n": str(rng.randint(2, 5)), "category": category, "one": one, "other": other}

    @staticmethod
    def _allowed(slots: Slots) -> list[str]:
        banned = (slots["one"], slots["other"])
        return [word for word in CATEGORIES[slots["category"]] if word[0] not in banned]

    @staticmethod
    def _say(words: Sequence[str]) -> str:
        return f"Here they are: {listed(words)}."

    def answer(self, slots: Slots, rng: random.Random) -> str:
        return self._say(sorted(rng.sample(self._allowed(slots), int(slots["n"]))))

    def examine(self, slots: Slots, response: str) -> Findings:
        wanted, allowed, items = int(slots["n"]), self._allowed(slots), items_in(response)
        good: list[str] = []
        remarks = []
        for item in items:
            remark = self._remark(item, slots, good)
            remarks.append(f"{item} {remark}")
            if not remark.endswith("fine"):
                break
            good.append(item)
        is_right = len(good) == wanted == len(items)
        outcome = "right" if is_right else "wrong"
        verdict = f"So {len(good)} of {wanted} fine, {outcome}."
        working = f"{'. '.join(remarks)}." if remarks else "Nothing is named."
        if is_right:
            return right(verdict, working, response)
        better = self._mend(good, wanted, allowed)
        score = partial_score(len(good), wanted)
        return wrong(score, verdict, working, listed(better), self._say(better))

    @staticmethod
    def _mend(good: Sequence[str], wanted: int, allowed: Sequence[str]) -> list[str]:
        """Keep as many of the good ones as leave enough words for the others, then the next."""
        kept = list(good[:wanted])
        while True:
            later = [word for word in allowed if not kept or word > kept[-1]]
            if len(kept) + len(later) >= wanted:
                return [*kept, *later[: wanted - len(kept)]]
            kept.pop()

    @staticmethod
    def _remark(item: str, slots: Slots, good: Sequence[str]) -> str:
        """The letter it starts with against the two that are banned, then its place."""
        if len(good) == int(slots["n"]):
            return "extra"
        if item not in CATEGORIES[slots["category"]]:
            return "unknown"
        first = f"{item[0]}: {slots['one']}"
        if item[0] == slots["one"]:
            return f"{first} yes, banned"
        first += f" no, {slots['other']}"
        if item[0] == slots["other"]:
            return f"{first} yes, banned"
        early = bool(good) and item <= good[-1]
        return f"{first} no, {'early' if early else 'fine'}"
