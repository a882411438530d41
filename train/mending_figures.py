"""What mending came to: constraints that hold before and after, verdicts, lengths."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from redraft.server.refine.srt_format import HIGHEST_SCORE
from redraft.train.data.records import Example


@dataclass(frozen=True, slots=True)
class MendingStep:
    """One feedback, and the response after it: a refinement, or the same where it was left."""

    feedback: str
    score: int | None  # None: the feedback cannot be read
    response: str
    ids: tuple[int, ...]
    held: tuple[bool, ...]


@dataclass(slots=True)
class Judged:
    """One instruction with its draft, and which of its checks hold after each step."""

    example: Example
    draft_held: tuple[bool, ...]
    draft: str
    draft_ids: tuple[int, ...]
    steps: list[MendingStep] = field(default_factory=list)

    @property
    def held(self) -> list[tuple[bool, ...]]:
        return [self.draft_held, *(step.held for step in self.steps)]

    @property
    def newest(self) -> tuple[str, tuple[int, ...]]:
        """The newest response and its tokens."""
        last = self.steps[-1] if self.steps else None
        return (last.response, last.ids) if last else (self.draft, self.draft_ids)

    def to_json(self) -> dict[str, Any]:
        return {
            "instruction": self.example.messages[-1].content,
            "kinds": self.example.meta.get("kinds", ()),
            "draft": self.draft,
            "draft_held": self.draft_held,
            "steps": [
                {
                    "feedback": step.feedback,
                    "score": step.score,
                    "response": step.response,
                    "held": step.held,
                }
                for step in self.steps
            ],
        }


def figures(judged: Sequence[Judged]) -> dict[str, Any]:
    """Shares in percent. Instructions without checks count for what is left alone only."""
    checked = [each for each in judged if each.draft_held]
    plain = [each for each in judged if not each.draft_held and each.steps]
    shares: dict[str, Any] = {"instructions": len(judged), "with_checks": len(checked)}
    if checked:
        shares |= _levels(checked)
    if checked and checked[0].steps:
        shares |= _first_step(checked)
    if plain:
        unchanged = [each.steps[0].response == each.draft for each in plain]
        shares["unchanged_without_checks"] = _percent(unchanged)
    return shares | {"kinds": _kinds(checked)}


def _levels(checked: Sequence[Judged]) -> dict[str, Any]:
    """Of the draft, then after each step."""
    stages = range(len(checked[0].held))
    return {
        "prompt_level": [_percent([all(each.held[n]) for each in checked]) for n in stages],
        "instruction_level": [
            _percent([held for each in checked for held in each.held[n]]) for n in stages
        ],
        "mended": [
            sum(all(each.held[n]) and not all(each.held[n - 1]) for each in checked)
            for n in stages[1:]
        ],
        "spoiled": [
            sum(all(each.held[n - 1]) and not all(each.held[n]) for each in checked)
            for n in stages[1:]
        ],
    }


def _first_step(checked: Sequence[Judged]) -> dict[str, Any]:
    first = [(all(each.draft_held), each.steps[0]) for each in checked]
    right = [step.score == HIGHEST_SCORE for good, step in first if good]
    wrong = [step.score not in (None, HIGHEST_SCORE) for good, step in first if not good]
    changed = [each for each in checked if each.steps[0].response != each.draft]
    ratios = sorted(len(each.steps[0].response) / max(1, len(each.draft)) for each in changed)
    return {
        "readable": _percent([step.score is not None for _, step in first]),
        "good_left_alone": _percent(right),
        "bad_found": _percent(wrong),
        "balanced_accuracy": round((_percent(right) + _percent(wrong)) / 2, 1),
        "length_ratio": round(ratios[len(ratios) // 2], 3) if ratios else None,
    }


def _kinds(checked: Sequence[Judged]) -> dict[str, Any]:
    held: dict[str, list[list[bool]]] = defaultdict(list)
    for each in checked:
        for place, kind in enumerate(each.example.meta.get("kinds", ())):
            held[kind].append([stage[place] for stage in each.held])
    return {
        kind: {"of": len(rows), "held": [sum(stage) for stage in zip(*rows, strict=True)]}
        for kind, rows in sorted(held.items())
    }


def _percent(values: Sequence[bool]) -> float:
    return round(100 * sum(values) / len(values), 1) if values else 0.0
