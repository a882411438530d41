"""What a family of verifiable instructions is: wordings, drawing, answering, examining.

How to add a family: subclass ``Family`` in a file of this folder, write its wordings, ``draw`` and
``examine``, and name it in ``FAMILIES`` (``__init__.py``). No wording may begin with a slot.
"""

from __future__ import annotations

import hashlib
import random
import re
import string
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from redraft.train.workbench.families.lexicon import CATEGORY_OF

Slots = Mapping[str, str]
HELD_OUT_WORDINGS = 2  # the last ones of every family are never trained on
BEST_SCORE, WORST_SCORE = 10, 1

NUMBER = r"\d+"
WORD = r"[a-z]+"
NAME = r"[A-Z][a-z]+"
NUMBERS = rf"{NUMBER}(?:, {NUMBER})*"
WORDS = rf"{WORD}(?:, {WORD})*"


@dataclass(frozen=True, slots=True)
class Findings:
    """One response to one instruction, examined: all that judge and critic need to know."""

    score: int  # 1 to 10; 10 exactly when right
    working: str  # the instruction worked through, step by step
    verdict: str  # the response held against the working
    advice: str
    better: str  # a right response

    @property
    def right(self) -> bool:
        return self.score == BEST_SCORE

    @property
    def problems(self) -> tuple[str, ...]:
        return () if self.right else (self.verdict,)


class Family(ABC):
    """One kind of instruction: many wordings, drawn slots, one exact examination."""

    name: ClassVar[str]
    is_open: ClassVar[bool] = False  # many right responses
    wordings: ClassVar[tuple[str, ...]]
    patterns: ClassVar[Mapping[str, str]]  # slot name -> what it may hold

    @abstractmethod
    def draw(self, rng: random.Random) -> dict[str, str]:
        """Slots of a fresh instruction, of all wordings."""

    @abstractmethod
    def examine(self, slots: Slots, response: str) -> Findings: ...

    def answer(self, slots: Slots, rng: random.Random) -> str:
        """The right response; open families pick one of many."""
        return self.examine(slots, "").better

    def normalise(self, slots: dict[str, str]) -> dict[str, str]:
        """Slots as ``draw`` names them, whichever wording they were read from."""
        return slots

    def read(self, instruction: str) -> tuple[int, dict[str, str]] | None:
        """Which wording this is and what its slots hold; None: not of this family."""
        for number, pattern in enumerate(self._patterns):
            if match := pattern.fullmatch(instruction):
                return number, self.normalise(match.groupdict())
        return None

    @cached_property
    def _patterns(self) -> tuple[re.Pattern[str], ...]:
        return tuple(re.compile(self._pattern(wording)) for wording in self.wordings)

    def _pattern(self, wording: str) -> str:
        parts, seen = [], set()
        for text, name, *_ in string.Formatter().parse(wording):
            parts.append(re.escape(text))
            if name:
                again = name in seen
                parts.append(f"(?P={name})" if again else f"(?P<{name}>{self.patterns[name]})")
                seen.add(name)
        return "".join(parts)


def numbers_in(text: str) -> list[int]:
    return [int(digits) for digits in re.findall(NUMBER, text)]


def known_words_in(text: str) -> list[str]:
    return [word for word in re.findall(WORD, text.lower()) if word in CATEGORY_OF]


def listed(items: Sequence[object]) -> str:
    return ", ".join(str(item) for item in items)


def steady_random(*parts: str) -> random.Random:
    """The same choices for the same texts, in every process."""
    return random.Random(hashlib.sha256("\0".join(parts).encode()).digest())


def examine_number(items: Sequence[int], expected: int, working: str, better: str) -> Findings:
    """For an answer that is one number, the last one the response says."""
    if not items:
        return wrong(WORST_SCORE, "The response says no number.", working, f"{expected}", better)
    last = items[-1]
    if last == expected:
        return right(f"The response says {last}, right.", working, better)
    distance = abs(last - expected)
    score = 6 if distance <= 1 else 4 if distance <= 10 else 2
    return wrong(score, f"The response says {last}, wrong.", working, f"{expected}", better)


def examine_choice(items: Sequence[str], expected: str, working: str, better: str) -> Findings:
    """For an answer that is one word, the last known one the response says."""
    if not items:
        return wrong(WORST_SCORE, "The response says none.", working, expected, better)
    if items[-1] == expected:
        return right(f"The response says {expected}, right.", working, better)
    return wrong(3, f"The response says {items[-1]}, wrong.", working, expected, better)


def examine_list(
    items: Sequence[object], expected: Sequence[object], working: str, better: str
) -> Findings:
    """For an answer that is a list in order: item by item up to the first that is wrong."""
    alike = 0
    while alike < min(len(items), len(expected)) and items[alike] == expected[alike]:
        alike += 1
    steps = [f"{item} right" for item in items[:alike]]
    if alike == len(items) == len(expected):
        return right(f"The response says {listed([*steps, 'end right'])}.", working, better)
    steps.append(f"{items[alike]} wrong" if alike < len(items) else "end wrong")
    score = max(WORST_SCORE + 1, 1 + 7 * alike // len(expected)) if items else WORST_SCORE
    verdict = f"The response says {listed(steps)}."
    return wrong(score, verdict, working, listed(expected), better)


def right(verdict: str, working: str, better: str) -> Findings:
    return Findings(BEST_SCORE, working, verdict, "Keep it.", better)


def wrong(score: int, verdict: str, working: str, expected: str, better: str) -> Findings:
    return Findings(score, working, verdict, f"Say {expected}.", better)
