"""Prompts with constraints that programs verify, and which of them a response meets.

A line of a file of them is IFEval's (``instruction_id_list`` and ``kwargs``), or an instruction
with ``meta.checks`` as ``redraft train constraints`` writes them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redraft.benchmarks.grading import ifeval
from redraft.benchmarks.grading.ifeval import Checks
from redraft.server import jsonl
from redraft.server.refine.checks import CheckError, read_checks, verify_all

Verdicts = tuple[bool, ...]  # of each constraint of a prompt


@dataclass(frozen=True, slots=True)
class ConstrainedPrompt:
    """One prompt and its constraints."""

    text: str
    kinds: tuple[str, ...]  # of each constraint
    checks: tuple[Checks, ...]  # of each constraint, which is met when all of them hold
    arguments: tuple[Mapping[str, Any], ...] = ()  # of IFEval's own checkers, where it is theirs

    @property
    def all_checks(self) -> Checks:
        return tuple(check for checks in self.checks for check in checks)

    def to_instruction(self) -> dict[str, Any]:
        """The prompt with its checks, as the trainer's stages read it: each check has the name of
        its kind at the same place."""
        pairs = [
            (check, kind.rpartition(":")[2])
            for checks, kind in zip(self.checks, self.kinds, strict=True)
            for check in _without_english(checks)
        ]
        meta = {"checks": [check.to_json() for check, _ in pairs], "kinds": [k for _, k in pairs]}
        return {"instruction": self.text, "meta": meta}


def _without_english(checks: Checks) -> Checks:
    """All but the check for English that goes with those for upper and lower case: a text in one
    case is hardly told apart by its language, and nothing can be mended about it."""
    english = {"kind": "language", "language": "en"}
    return tuple(each for each in checks if len(checks) == 1 or each.to_json() != english)


@dataclass(frozen=True, slots=True)
class Met:
    """Which constraints of a prompt a response meets. ``loose`` forgives a first or last line too
    many, and emphasis: it is what the best of eight versions of the response meets."""

    strict: Verdicts
    loose: Verdicts


Grader = Callable[[ConstrainedPrompt, str], Met]


def read_prompts(path: Path, *, unconstrained: bool = False) -> list[ConstrainedPrompt]:
    """``unconstrained``: prompts without constraints are welcome, too."""
    prompts = [_read(line, unconstrained) for line in jsonl.lines(path)]
    if not prompts:
        raise jsonl.FileError(f"{path} holds no prompts")
    return prompts


def drawn(
    prompts: Sequence[ConstrainedPrompt], count: int | None, seed: int
) -> list[ConstrainedPrompt]:
    """So many of them by seed, in their order; None: all."""
    order = random.Random(seed).sample(range(len(prompts)), len(prompts))
    return [prompts[place] for place in sorted(order[:count])]


def _read(line: jsonl.Line, unconstrained: bool) -> ConstrainedPrompt:
    row = line.row()
    try:
        if "instruction_id_list" in row:
            return of_ifeval(row)
        if unconstrained and not row.get("meta", {}).get("checks"):
            return ConstrainedPrompt(_text(row), (), ())
        if checks := read_checks(row["meta"]["checks"]):
            kinds = row["meta"].get("kinds") or [check.kind for check in checks]
            one_each = tuple((check,) for check in checks)
            return ConstrainedPrompt(_text(row), tuple(kinds), one_each)
    except (KeyError, TypeError, ValueError, CheckError) as error:
        raise line.error(f"a row of IFEval, or a prompt with meta.checks ({error!r})") from error
    raise line.error("meta.checks with at least one check")


def _text(row: Mapping[str, Any]) -> str:
    if messages := row.get("messages"):
        return str(messages[-1]["content"])
    return str(row["instruction"] if "instruction" in row else row["prompt"])


def of_ifeval(row: Mapping[str, Any]) -> ConstrainedPrompt:
    """A row of IFEval; ValueError for an instruction of no known kind."""
    kinds = tuple(row["instruction_id_list"])
    arguments = tuple(
        {name: value for name, value in (each or {}).items() if value is not None}
        for each in row["kwargs"]
    )
    checks = tuple(map(ifeval.checks_of, kinds, arguments))
    return ConstrainedPrompt(row["prompt"], kinds, checks, arguments)


def by_checks(prompt: ConstrainedPrompt, response: str) -> Met:
    """What the checks of the loop find."""

    def strictly(version: str) -> Verdicts:
        return tuple(
            all(finding.passed for finding in verify_all(checks, version, prompt.text))
            for checks in prompt.checks
        )

    return met_by(prompt, response, strictly)


def met_by(prompt: ConstrainedPrompt, response: str, strictly: Callable[[str], Verdicts]) -> Met:
    """Strict and loose, from the verdicts on one version. An empty version meets nothing."""
    nothing = (False,) * len(prompt.kinds)
    met = [strictly(each) if each.strip() else nothing for each in loosened(response)]
    return Met(met[0], tuple(map(any, zip(*met, strict=True))))


def loosened(response: str) -> tuple[str, ...]:
    """The response, without its first line, its last, both; each with and without asterisks."""
    lines = response.split("\n")
    versions = ["\n".join(part).strip() for part in (lines[1:], lines[:-1], lines[1:-1])]
    whole = [response, *versions]
    return (*whole, *(version.replace("*", "") for version in whole))
