"""Instructions with constraints that a program verifies, as a file: a step of a recipe.

    redraft train constraints --split train --count 2000 --output constraints.jsonl
    redraft train constraints --split test --kinds unseen --output unseen.jsonl
    redraft train constraints --only no_commas lowercase --output two_kinds.jsonl

Each row has its checks in ``meta``; ``collect --critic checks`` and ``mending`` read them there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from random import Random
from typing import Any, Literal

from redraft.server import jsonl
from redraft.server.options import ConfigError, option
from redraft.train.constraints.drawing import draw, row
from redraft.train.constraints.topics import PlainInstruction, every
from redraft.train.constraints.wordings import TRAINED, UNSEEN
from redraft.train.data import instructions
from redraft.train.program import read

# Which instructions a split has, by the last two digits of their hash.
_SPLITS = {"train": range(0, 80), "preferences": range(80, 90), "test": range(90, 100)}
_KINDS = {"trained": TRAINED, "unseen": UNSEEN}


@dataclass(frozen=True, slots=True)
class ConstraintsOptions:
    """Instructions with verifiable constraints."""

    output: str = option("file for the instructions (.jsonl)")
    data: tuple[str, ...] = option("plain instructions, beside those of our topics", ())
    split: Literal["train", "preferences", "test"] = option("of the plain instructions", "train")
    kinds: Literal["trained", "unseen"] = option(
        "of constraints; unseen: those that are never trained on", "trained"
    )
    only: tuple[str, ...] = option("kinds by name, of these; none: all", ())
    held_out_wordings: bool = option("in the wordings that are never trained on", False)
    count: int = option("how many rows", 1000)
    sets: int = option("rows for each instruction, with other constraints and one draft", 1)
    unconstrained: float = option("share of rows with nothing that can be checked", 0.2)
    seed: int = option("of the draw", 0)

    def __post_init__(self) -> None:
        known = [kind.name for kind in _KINDS[self.kinds]]
        if unknown := sorted(set(self.only) - set(known)):
            raise ConfigError(
                f"--only {' '.join(unknown)}: no {self.kinds} kind has this name. "
                f"They are {', '.join(sorted(known))}"
            )


def rows(options: ConstraintsOptions) -> Iterator[Mapping[str, Any]]:
    random = Random(options.seed)
    plain = [each for each in _plain(options) if _split(each.text) in _SPLITS[options.split]]
    random.shuffle(plain)
    kinds = [
        kind for kind in _KINDS[options.kinds] if not options.only or kind.name in options.only
    ]
    for each in cycle(plain):
        first = ""
        for _ in range(options.sets):
            drawn = draw(
                each,
                random,
                kinds,
                held_out_wordings=options.held_out_wordings,
                count=0 if random.random() < options.unconstrained else None,
            )
            yield row(drawn, first)
            first = first or drawn.text


def _plain(options: ConstraintsOptions) -> list[PlainInstruction]:
    plain = [*every()]
    if options.data:
        source = instructions.read(options.data)
        print(source.summary())
        plain += [PlainInstruction(each.messages[-1].content) for each in source.examples]
    return plain


def _split(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") % 100


def main(argv: Sequence[str]) -> int:
    options = read(ConstraintsOptions, "constraints", argv)
    if options.count < 1 or options.sets < 1:
        raise ConfigError("constraints: count and sets must be at least 1")
    written = jsonl.write(Path(options.output), islice(rows(options), options.count))
    print(f"constraints: {written} in {options.output}")
    return 0
