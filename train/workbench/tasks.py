"""Tasks: verifiable instructions, drawn by seed, split by content, recovered from their text.

    redraft train tasks --split test --count 20 --output tasks.jsonl

A task belongs to one split whatever its seed or wording: the split is a hash of its content.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Container, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from redraft.train.workbench.families import FAMILIES
from redraft.train.workbench.families.family import HELD_OUT_WORDINGS

Split = Literal["train", "preferences", "dev", "test"]
_BUCKETS: dict[Split, range] = {
    "train": range(0, 14),
    "preferences": range(14, 17),
    "dev": range(17, 18),
    "test": range(18, 20),
}
_TRIES = 100  # at finding a new task of a family before it counts as exhausted


class UnknownInstruction(ValueError):
    """The text is none of the instructions that are known."""


@dataclass(frozen=True, slots=True)
class Task:
    """One verifiable instruction."""

    family: str
    instruction: str
    slots: Mapping[str, str]
    wording: int
    held_out: bool  # a wording that is never trained on


def sample(
    split: Split, family: str | None, count: int, seed: int, held_out_wordings: bool = False
) -> list[Task]:
    """``count`` different tasks; without a family, of all families in turn, as far as each has
    different ones to give."""
    names = [family] if family else list(FAMILIES)
    rng = random.Random(f"{split}/{family}/{seed}/{held_out_wordings}")
    tasks: dict[str, Task] = {}
    while len(tasks) < count and names:
        for name in tuple(names):
            task = _fresh(split, name, held_out_wordings, rng, tasks)
            if task is None:
                names.remove(name)
            elif len(tasks) < count:
                tasks[task.instruction] = task
    if len(tasks) < count:
        raise ValueError(f"{split} has no {count} different tasks of {family or 'any family'}")
    return list(tasks.values())


def _fresh(
    split: Split, name: str, held_out: bool, rng: random.Random, known: Container[str]
) -> Task | None:
    """A task that is not known yet; None when there are hardly any left."""
    for _ in range(_TRIES):
        task = _draw(split, name, held_out, rng)
        if task.instruction not in known:
            return task
    return None


def _draw(split: Split, name: str, held_out: bool, rng: random.Random) -> Task:
    family = FAMILIES[name]
    slots = family.draw(rng)
    while split_of(name, slots) != split:
        slots = family.draw(rng)
    trained = len(family.wordings) - HELD_OUT_WORDINGS
    choices = range(trained, len(family.wordings)) if held_out else range(trained)
    wording = rng.choice(choices)
    instruction = family.wordings[wording].format(**slots)
    return Task(name, instruction, MappingProxyType(slots), wording, held_out)


def split_of(family: str, slots: Mapping[str, str]) -> Split:
    """By content alone: no wording of a test task is ever trained on."""
    canonical = FAMILIES[family].normalise(dict(slots))
    text = json.dumps([family, sorted(canonical.items())])
    bucket = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4]) % 20
    return next(split for split, buckets in _BUCKETS.items() if bucket in buckets)


def task_for(instruction: str) -> Task:
    """The task whose text this is; UnknownInstruction when there is none."""
    for name, family in FAMILIES.items():
        if (match := family.read(instruction.strip())) is not None:
            wording, slots = match
            held_out = wording >= len(family.wordings) - HELD_OUT_WORDINGS
            return Task(name, instruction, MappingProxyType(slots), wording, held_out)
    raise UnknownInstruction(
        f"not an instruction of the workbench: {instruction[:80]!r}; "
        "'redraft train tasks' writes some"
    )


def answer(task: Task, seed: int = 0) -> str:
    """A right response, as the base model is taught it."""
    rng = random.Random(f"{task.instruction}/{seed}")
    return FAMILIES[task.family].answer(task.slots, rng)
