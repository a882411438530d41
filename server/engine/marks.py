"""Finds the marks of ``Sampling.marks`` in what an engine writes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from redraft.server.engine.base import Mark


def mark_of(written: Sequence[int], begun: int, marks: Iterable[Mark]) -> Mark | None:
    """The mark that the tokens written since the ``begun``-th end with."""
    for mark in marks:
        start = len(written) - len(mark)
        if start >= begun and written[-1] == mark[-1] and tuple(written[start:]) == mark:
            return mark
    return None
