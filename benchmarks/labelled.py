"""Labelled prompts: what is asked, and what a right answer to it is.

A line of the file is {"prompt": "...", "answers": ["...", ...], "group": "..."}; any of the answers
is right, the group may be left out.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.scorers import gsm8k_answer

MATCHES: dict[str, Callable[[str, str], bool]] = {
    "exact": lambda given, right: given.strip() == right.strip(),
    "words": lambda given, right: given.lower().split() == right.lower().split(),
    "number": lambda given, right: gsm8k_answer(given) == gsm8k_answer(right) is not None,
    "contains": lambda given, right: right.strip().lower() in given.lower(),
}


@dataclass(frozen=True, slots=True)
class LabelledPrompt:
    prompt: str
    answers: tuple[str, ...]
    group: str = ""

    def is_right(self, text: str, how: str) -> bool:
        return any(MATCHES[how](text, answer) for answer in self.answers)


def read_labelled(path: Path) -> list[LabelledPrompt]:
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.strip():
            row = json.loads(line)
            if not row.get("prompt") or not row.get("answers"):
                raise ValueError(f'{path}:{number} needs "prompt" and "answers", got {line[:80]}')
            answers = tuple(str(answer) for answer in row["answers"])
            found.append(LabelledPrompt(row["prompt"], answers, row.get("group", "")))
    return found
