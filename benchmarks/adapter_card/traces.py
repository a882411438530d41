"""Traces drawn by seed and printed in full, as Markdown."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from redraft.benchmarks.following.graded import GradedCourse
from redraft.benchmarks.grading.graders import PUBLISHED

HEAD = """\
# Prompts of IFEval, and all that was written

Drawn by seed {seed} out of {of}, not chosen; `redraft bench card` wrote this page. Met or not is
what IFEval's own checkers say, strictly. In all, {all_met} of {of} answers meet every constraint.
"""
_OUTCOMES = {
    (False, True): "mended",
    (True, False): "spoiled",
    (True, True): "right before and after",
    (False, False): "wrong before and after",
}


def page(
    graded: Sequence[GradedCourse], replies: Mapping[str, Mapping[str, Any]], count: int, seed: int
) -> str:
    """``replies``: of /v1/refine, by prompt."""
    drawn = sorted(random.Random(seed).sample(range(len(graded)), min(count, len(graded))))
    met = sum(all(_met(each, each.course.answer)) for each in graded)
    parts = [HEAD.format(seed=seed, of=len(graded), all_met=met)]
    for number, place in enumerate(drawn, 1):
        parts += _trace(number, place + 1, graded[place], replies[graded[place].prompt.text])
    return "\n".join(parts)


def _met(each: GradedCourse, text: str) -> tuple[bool, ...]:
    return each.met[PUBLISHED][text].strict


def _trace(number: int, place: int, each: GradedCourse, reply: Mapping[str, Any]) -> Iterator[str]:
    draft, answer = (_met(each, text) for text in (each.course.draft, each.course.answer))
    yield f"## {number}. Prompt {place}: {_OUTCOMES[all(draft), all(answer)]}\n"
    yield "| constraint | draft | answer |\n|---|---|---|"
    for kind, before, after in zip(each.prompt.kinds, draft, answer, strict=True):
        yield f"| {kind} | {_said(before)} | {_said(after)} |"
    yield f"\nPrompt\n\n{_fenced(each.prompt.text)}\n\nDraft\n\n{_fenced(each.course.draft)}\n"
    for iteration in reply["trace"]["iterations"]:
        yield f"Feedback\n\n{_fenced(iteration['feedback']['text'])}\n"
        if refinement := iteration["refinement"]:
            yield f"Refinement\n\n{_fenced(refinement['text'])}\n"
    yield f"Ended by `{each.course.stop_reason}`.\n"


def _said(met: bool) -> str:
    return "met" if met else "not met"


def _fenced(text: str) -> str:
    """As it stands, whatever is in it."""
    longest = max(map(len, re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"
