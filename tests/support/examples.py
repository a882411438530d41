"""How many examples a property is tried on: fewer in ``make check`` than in ``make test``."""

from __future__ import annotations

from hypothesis import settings


def examples(most: int) -> int:
    """So many in the profile of ``make test``, and the same share of every other."""
    whole = settings.get_profile("same").max_examples
    return max(1, most * settings().max_examples // whole)
