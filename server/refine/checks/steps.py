"""Steps: what one check may take, so that no pattern, schema or text can hold the server."""

from __future__ import annotations

MOST_STEPS = 300_000  # of one check on one response: a fraction of a second


class TooManySteps(Exception):
    """A verdict takes longer than any check may."""


class Steps:
    """Counts down; raises TooManySteps at the end."""

    def __init__(self, left: int = MOST_STEPS) -> None:
        self._left = left

    def take(self, count: int = 1) -> None:
        self._left -= count
        if self._left < 0:
            raise TooManySteps
