"""Guesses the next tokens of a text, most of which repeat another: of a refinement its draft, of an
answer the caller's prediction. Both are called the draft here.

The text written so far is kept aligned with the draft across tokens replaced, left out or put in.
The guess is what follows in the draft. Its length depends on the share of the draft's tokens that
this text kept lately: there is no guess for a text that copies nothing, and guesses never depend
on the other requests of a batch.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence

MEMORY = 0.7  # weight of the past in the share of kept tokens, at each token
CHANCE = 0.4  # a guess is no longer than keeps the chance that all of it is right above this
REACH = 8  # tokens: how far ahead a text is looked for after it left some out
BACK = 2  # and how far behind, after it put some in
MOST_MISSES = 1  # in a row; after more there is no guess until the place is found again


class AlignedDraft:
    """A draft, and the place in it that a text has reached."""

    def __init__(self, draft: Sequence[int]) -> None:
        self._draft = list(draft)
        self._after: dict[tuple[int, int], list[int]] = {}  # a pair of tokens -> what follows it
        for place in range(2, len(self._draft) + 1):
            pair = (self._draft[place - 2], self._draft[place - 1])
            self._after.setdefault(pair, []).append(place)
        self.repeated: set[int] = set()  # the places in the draft that the text has taken over
        self._next = 0
        self._last = -1  # the token written last
        self._misses = 0
        self._kept, self._seen = 0.5, 1.0  # the share of kept tokens starts at one half

    def write(self, tokens: Iterable[int]) -> None:
        """Add the next tokens of the text."""
        for token in tokens:
            self._write(token)
            self._last = token

    def guess(self, most: int) -> list[int]:
        """The tokens that may come next; empty where a guess is not worth verifying."""
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
            self._go_on(self._next + 1)
        elif places := self._after.get((self._last, token)):
            self._go_on(_nearest(places, self._next + 1))
        else:
            self._next = self._resumed(token)
            self._misses += 1

    def _go_on(self, place: int) -> None:
        """To the place after the token just written, which the draft has there."""
        self._next, self._misses = place, 0
        self.repeated.add(place - 1)
        if place > 1 and self._draft[place - 2] == self._last:  # no coincidence, as shown now
            self.repeated.add(place - 2)

    def _resumed(self, token: int) -> int:
        """The place after a token that was not expected."""
        start = max(0, self._next - BACK) if self._misses else self._next
        near = self._draft[start : self._next + REACH]
        if token in near:
            return start + near.index(token) + 1
        return self._next if self._misses else min(self._next + 1, len(self._draft))


def _nearest(places: Sequence[int], place: int) -> int:
    """The nearest of ``places``, which ascend; of two the earlier."""
    at = bisect_left(places, place)
    return min(places[max(0, at - 1) : at + 1], key=lambda near: abs(near - place))
