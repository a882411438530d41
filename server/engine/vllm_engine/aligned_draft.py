"""Guessing how a refinement goes on: most of its tokens repeat the draft it refines.

The text written so far is kept aligned with the draft: one token for another, tokens left out,
tokens put in. What follows in the draft is the guess, and how much of it depends on how much of
the draft was kept lately, in this text alone: a text that copies nothing is never guessed at, and
what is guessed never depends on the company a request is in.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MEMORY = 0.7  # how much the share of kept tokens remembers at each token
CHANCE = 0.4  # a guess is as long as the chance that all of it is right stays above this
REACH = 8  # tokens: how far ahead a text may have gone on after leaving some out
BACK = 2  # and how far behind, after putting some in
MOST_MISSES = 1  # in a row; after more the place is lost until the text is found in the draft again


class AlignedDraft:
    """A draft and the place in it that a refinement has come to."""

    def __init__(self, draft: Sequence[int]) -> None:
        self._draft = list(draft)
        self._after: dict[tuple[int, int], list[int]] = {}  # a pair of tokens -> what follows it
        for place in range(2, len(self._draft) + 1):
            pair = (self._draft[place - 2], self._draft[place - 1])
            self._after.setdefault(pair, []).append(place)
        self._next = 0
        self._last = -1  # the token written last
        self._misses = 0
        self._kept, self._seen = 0.5, 1.0  # before anything is known: one half

    def write(self, tokens: Iterable[int]) -> None:
        """The refinement goes on with these."""
        for token in tokens:
            self._write(token)
            self._last = token

    def guess(self, most: int) -> list[int]:
        """The tokens that may come next; empty where guessing does not pay."""
        if self._misses > MOST_MISSES:
            return []
        share = self._kept / self._seen
        length = int(math.log(CHANCE) / math.log(share)) if 0 < share < 1 else 0
        return self._draft[self._next : self._next + min(length, most)]

    def _write(self, token: int) -> None:
        kept = self._draft[self._next : self._next + 1] == [token]
        self._kept = MEMORY * self._kept + kept
        self._seen = MEMORY * self._seen + 1
        if kept:
            self._next += 1
            self._misses = 0
        elif places := self._after.get((self._last, token)):
            self._next = min(places, key=lambda place: abs(place - 1 - self._next))
            self._misses = 0
        else:
            self._next = self._resumed(token)
            self._misses += 1

    def _resumed(self, token: int) -> int:
        """Where a text may go on after a token that was not expected."""
        start = max(0, self._next - BACK) if self._misses else self._next
        near = self._draft[start : self._next + REACH]
        if token in near:
            return start + near.index(token) + 1
        return self._next if self._misses else min(self._next + 1, len(self._draft))


@dataclass(frozen=True, slots=True)
class Fences:
    """The token ids between which the prompt of a refinement holds the draft."""

    opening: tuple[int, ...]  # what the chat ends with, before the assistant's words; may be none
    feedback: tuple[int, ...]
    refinement: tuple[int, ...]
    end: int  # the token that ends a refinement

    def draft_in(self, prompt: Sequence[int]) -> list[int] | None:
        """The draft and the end; None unless the prompt asks for a refinement."""
        ids = tuple(prompt)
        if ids[-len(self.refinement) :] != self.refinement:
            return None
        marker = _last(self.feedback, ids, len(ids))
        if marker is None:
            return None
        opening = _last(self.opening, ids, marker) if self.opening else None
        start = 0 if opening is None else opening + len(self.opening)
        return [*ids[start:marker], self.end]


def _last(wanted: tuple[int, ...], ids: tuple[int, ...], before: int) -> int | None:
    """Where it stands last."""
    for place in range(before - len(wanted), -1, -1):
        if ids[place] == wanted[0] and ids[place : place + len(wanted)] == wanted:
            return place
    return None
