"""AlpacaEval's own 805 instructions, each known by a digest of its text, and how long the answer of
its reference (gpt4_1106_preview) is: what a length-controlled rate is defined for.
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import NamedTuple

from redraft.benchmarks.data import INSTRUCTIONS
from redraft.benchmarks.winrates.csv_rows import read_csv

REFERENCE = "gpt4_1106_preview"


class KnownInstruction(NamedTuple):
    position: int  # in the set's own order
    reference_length: int  # characters


@cache
def known_set() -> dict[str, KnownInstruction]:
    """By digest, in the set's order; no instruction is in it twice."""
    rows = read_csv(INSTRUCTIONS, ("digest", "reference_length"))
    return {
        row.cells["digest"]: KnownInstruction(position, row.whole("reference_length"))
        for position, row in enumerate(rows)
    }


def digest(instruction: str) -> str:
    return hashlib.sha256(instruction.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def digest_at(position: int) -> str:
    """The digest of an instruction of which only the place in its set is told. Beyond AlpacaEval's
    set a place is all that is known of it."""
    return _in_order()[position] if 0 <= position < len(_in_order()) else f"#{position}"


@cache
def _in_order() -> tuple[str, ...]:
    return tuple(known_set())
