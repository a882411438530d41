"""Labelled prompts: what is asked, and whether an answer to it is right.

A line of the file is {"prompt": "...", "answers": ["...", ...], "group": "..."}; any of the answers
is right, the group may be left out. With a judge the answers may be, too: the judge decides. With
``--match checks`` it is a prompt with constraints (``constrained``), and an answer is right when
all of them hold, by IFEval's own checkers where the prompts are IFEval's.

A judge is any server that takes POST URL/judge with {"prompt", "response"} and answers
{"right": true or false}; ``redraft train exact`` serves the workbench's.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from redraft.benchmarks.grading.constrained import ConstrainedPrompt, read_prompts
from redraft.benchmarks.grading.graders import graders_for
from redraft.benchmarks.grading.scorers import gsm8k_answer
from redraft.benchmarks.load.endpoint import CallFailed, Endpoint, Session
from redraft.benchmarks.load.recorded import key_of, record_all
from redraft.benchmarks.output.journal import Record
from redraft.server import jsonl

Match = Literal["exact", "words", "number", "contains", "checks"]
MATCHES: dict[str, Callable[[str, str], bool]] = {
    "exact": lambda text, right: text.strip() == right.strip(),
    "words": lambda text, right: text.lower().split() == right.lower().split(),
    "number": lambda text, right: gsm8k_answer(text) == gsm8k_answer(right) is not None,
    "contains": lambda text, right: right.strip().lower() in text.lower(),
}


@dataclass(frozen=True, slots=True)
class LabelledPrompt:
    prompt: str
    answers: tuple[str, ...] = ()
    group: str = ""
    constrained: ConstrainedPrompt | None = field(default=None, compare=False)

    def is_right(self, text: str, how: Match) -> bool:
        return any(MATCHES[how](text, answer) for answer in self.answers)


def read_labelled(path: Path, how: Match | Literal["judge"] = "exact") -> list[LabelledPrompt]:
    """``how``: what decides that an answer is right."""
    if how == "checks":
        found = [LabelledPrompt(each.text, constrained=each) for each in read_prompts(path)]
        return _distinct(found, path)
    judged = how == "judge"
    prompts = []
    needed = '"prompt"' if judged else '"prompt" and "answers" (without them, --judge URL)'
    for line in jsonl.lines(path):
        row = line.row()
        prompt, answers = row.get("prompt"), row.get("answers") or []
        if not prompt or not (judged or answers):
            raise line.error(needed)
        if not isinstance(prompt, str) or not isinstance(answers, list):
            raise line.error('a text as "prompt" and a list as "answers"')
        prompts.append(LabelledPrompt(prompt, tuple(map(str, answers)), str(row.get("group", ""))))
    if not prompts:
        raise jsonl.FileError(f"{path} holds no labelled prompts")
    return _distinct(prompts, path)


def _distinct(prompts: Sequence[LabelledPrompt], path: Path) -> list[LabelledPrompt]:
    # A copy would be asked with the same seed and answered alike: it is no further observation.
    distinct = list(dict.fromkeys(prompts))
    if copies := len(prompts) - len(distinct):
        print(f"{path}: {copies} prompts are copies of others and count once", file=sys.stderr)
    return distinct


Graded = tuple[LabelledPrompt, str]  # a prompt and a text given in answer to it


@dataclass(frozen=True, slots=True)
class Grades:
    """The grades of texts, and the reasons why some have none."""

    right: dict[Graded, bool]
    unjudged: dict[Graded, str]  # and why

    def of(self, prompt: LabelledPrompt, text: str) -> bool:
        """Raises CallFailed for a text without a grade, which is neither right nor wrong."""
        if (prompt, text) in self.unjudged:
            why = self.unjudged[prompt, text]
            raise CallFailed(f"unjudged_{why}", f"the judge has no verdict on {text[:80]!r}")
        return self.right[prompt, text]


@dataclass(frozen=True, slots=True)
class Grader:
    """Compares with the answers, or asks a judge and keeps its verdicts at ``path``."""

    match: Match = "exact"
    judge: Endpoint | None = None
    path: Path | None = None
    concurrency: int = 8

    async def grade(self, graded: Iterable[Graded]) -> Grades:
        pairs = list(dict.fromkeys(graded))
        if self.judge is None:
            right = _checked(pairs) if self.match == "checks" else self._matched(pairs)
            return Grades(right, {})
        assert self.path, "a judge's verdicts are kept somewhere"
        keys = {
            pair: key_of(json.dumps([self.judge.url, pair[0].prompt, pair[1]])) for pair in pairs
        }
        unjudged: dict[Graded, str] = {}

        async def judged(session: Session, pair: Graded) -> Record:
            body = {"prompt": pair[0].prompt, "response": pair[1]}
            try:
                return {"right": _verdict(await session.post("judge", body))}
            except CallFailed as failed:
                unjudged[pair] = failed.reason
                raise

        items = {keys[pair]: pair for pair in pairs}
        records, _ = await record_all(
            items, judged, self.judge, self.path, self.concurrency, "grades"
        )
        right = {pair: records[key]["right"] for pair, key in keys.items() if key in records}
        return Grades(right, unjudged)

    def _matched(self, pairs: Sequence[Graded]) -> dict[Graded, bool]:
        return {pair: pair[0].is_right(pair[1], self.match) for pair in pairs}


def _checked(pairs: Sequence[Graded]) -> dict[Graded, bool]:
    constrained = {prompt: prompt.constrained for prompt, _ in pairs if prompt.constrained}
    grader, *_ = graders_for(list(constrained.values())).values()
    return {pair: all(grader(constrained[pair[0]], pair[1]).strict) for pair in pairs}


def _verdict(reply: object) -> bool:
    right = reply.get("right") if isinstance(reply, dict) else None
    if not isinstance(right, bool):
        raise CallFailed(
            "no_verdict", f"expected {{'right': true or false}}, got {str(reply)[:80]}"
        )
    return right
