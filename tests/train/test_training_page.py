"""The commands of docs/training.md are ones the program takes.
Spans: docs/training.md, train"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from redraft.train import program, recipe, stages
from redraft.train.exact.serve import ExactOptions

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "training.md").read_text()


def commands() -> list[str]:
    text = PAGE.replace("\\\n", " ")
    return [line.strip() for line in text.splitlines() if line.startswith("    redraft train")]


@pytest.mark.parametrize("command", commands())
def test_a_command_of_the_page_is_taken(command: str) -> None:
    words = shlex.split(command.split("   ")[0] if " run " in command else command)
    stage, *given = words[2:]
    if stage == "run":
        assert recipe.load(given[0]).steps
        return
    options = ExactOptions if stage == "exact" else stages.options_of(stage)
    assert program.read(options, stage, given, {})


def test_every_stage_of_the_page_exists() -> None:
    named = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))
    assert named == set(stages.STAGES) - {"base_model", "tasks"}
