"""Draws constraints that go together, and says them beside a plain instruction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from redraft.train.constraints.topics import PlainInstruction
from redraft.train.constraints.wordings.kind import ConstraintKind, Slots

Json = dict[str, Any]

_HOW_MANY = (1, 1, 1, 2, 2, 2, 3, 3)
_ATTEMPTS = 40  # kinds tried for one instruction before fewer constraints are drawn
_INTRODUCTIONS = ("Follow these rules:", "Requirements:", "Please note:", "Constraints:")
_WORD_SLOTS = ("words", "word", "phrase")


@dataclass(frozen=True, slots=True)
class Drawn:
    """An instruction with its constraints."""

    text: str
    checks: tuple[Json, ...]
    kinds: tuple[str, ...]
    said: tuple[str, ...]  # each constraint, as the text has it
    plain: PlainInstruction


def draw(
    plain: PlainInstruction,
    random: Random,
    kinds: Sequence[ConstraintKind],
    *,
    held_out_wordings: bool = False,
    count: int | None = None,
) -> Drawn:
    """The instruction with one to three constraints (or ``count``) that do not contradict one
    another."""
    chosen = _chosen(random, kinds, random.choice(_HOW_MANY) if count is None else count)
    sentences, checks, names = [], [], []
    last: tuple[ConstraintKind, Slots] | None = None
    for kind, slots in chosen:
        if kind.name == "repeats":  # it is about everything said before it
            last = kind, slots
            continue
        sentences.append(_wording(kind, random, held_out_wordings).format(**slots))
        checks.append(kind.check(slots))
        names.append(kind.name)
    text = _composed(plain.text, sentences, random)
    if last is not None:
        kind, slots = last
        checks.append({**kind.check(slots), "text": text})
        names.append(kind.name)
        joint = random.choice(("\n", "\n\n", " "))
        sentences.append(_wording(kind, random, held_out_wordings))
        text += joint + sentences[-1]
    return Drawn(text, tuple(checks), tuple(names), tuple(sentences), plain)


def _chosen(
    random: Random, kinds: Sequence[ConstraintKind], count: int
) -> list[tuple[ConstraintKind, Slots]]:
    weights = [kind.weight for kind in kinds]
    chosen: list[tuple[ConstraintKind, Slots]] = []
    settled: set[str] = set()
    words: set[str] = set()
    for _ in range(_ATTEMPTS):
        if len(chosen) == count:
            break
        (kind,) = random.choices(kinds, weights)
        slots = kind.draw(random)
        if settled & kind.aspects or words & _words(slots):
            continue
        settled |= kind.aspects
        words |= _words(slots)
        chosen.append((kind, slots))
    return chosen


def _words(slots: Slots) -> set[str]:
    words: set[str] = set()
    for name in _WORD_SLOTS:
        value = slots.get(name, ())
        words.update(value.split() if isinstance(value, str) else value)
    return words


def _wording(kind: ConstraintKind, random: Random, held_out: bool) -> str:
    """The last wording of each kind is the one that is never trained on."""
    if held_out:
        return kind.wordings[-1]
    return random.choice(kind.wordings[:-1] if len(kind.wordings) > 2 else kind.wordings)


def _composed(instruction: str, sentences: Sequence[str], random: Random) -> str:
    if not sentences:
        return instruction
    form = random.random()
    if form < 0.6:
        return " ".join((instruction, *sentences))
    if form < 0.75:
        return "\n".join((instruction, *sentences))
    if form < 0.85:
        return f"{instruction}\n\n{' '.join(sentences)}"
    if any("\n" in each for each in sentences):
        return "\n".join((instruction, *sentences))
    if form < 0.93:
        rules = "\n".join(f"- {each}" for each in sentences)
        return f"{instruction}\n\n{random.choice(_INTRODUCTIONS)}\n{rules}"
    return " ".join((*sentences, instruction))


def row(drawn: Drawn, draft_for: str = "") -> Mapping[str, Any]:
    """The instruction as a stage reads it. ``draft_for``: another instruction, whose draft is
    judged by these constraints."""
    meta: Json = {
        "checks": list(drawn.checks),
        "kinds": list(drawn.kinds),
        "said": list(drawn.said),
        "plain": drawn.plain.text,
        "topic": drawn.plain.topic,
    }
    if draft_for:
        meta["draft_for"] = draft_for
    return {"instruction": drawn.text, "meta": meta}
