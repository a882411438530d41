"""Who knows what is right, and what of it the critic says: ``OfWorkbench``, ``OfConstraints``.

How to add one: a class with these two methods, and an option in ``serve``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from redraft.train.critics import Taught


@dataclass(frozen=True, slots=True)
class Noise:
    """How often the critic is wrong."""

    share: float = 0.0  # of verdicts
    seed: int = 0


NONE = Noise()


@dataclass(frozen=True, slots=True)
class Judgement:
    """Of one response."""

    right: bool
    score: int
    problems: tuple[str, ...]


class Examiner(Protocol):
    """Both raise UnknownInstruction for what they do not know."""

    def judged(self, instruction: str, response: str) -> Judgement:
        """Without noise."""

    def opinion(self, instruction: str, response: str) -> Taught:
        """With noise; the refinement is empty where it writes none."""
