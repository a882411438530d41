"""docs/benchmarks.md says nothing that is not so: its commands have these options, and every
measurement is on it.
Spans: docs/benchmarks.md, benchmarks"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sklearn", reason="the bench extra is not installed")

from redraft.benchmarks import tasks, winrate
from redraft.benchmarks.__main__ import COMMANDS
from redraft.benchmarks.commands.table import CommandTable
from redraft.benchmarks.experiments import EXPERIMENTS
from redraft.benchmarks.workbench import STEPS
from redraft.server.options import read

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md").read_text(encoding="utf-8")
ON_THE_PAGE = re.findall(r"^redraft bench (\S+) ?(.*)$", PAGE, re.MULTILINE)
TABLES: dict[str, CommandTable] = {
    "experiments": EXPERIMENTS,
    "tasks": tasks.STEPS,
    "winrate": winrate.STEPS,
    "workbench": STEPS,
}


@pytest.mark.parametrize(("name", "command_line"), ON_THE_PAGE)
def test_a_command_on_the_page_has_these_options(name: str, command_line: str) -> None:
    arguments = shlex.split(command_line)
    table = COMMANDS
    if name in TABLES:
        table, name, *arguments = TABLES[name], *arguments
    read(options_of(table.module(name)), name, arguments, {})


def options_of(module: Any) -> type[Any]:
    """Its own options, else those it shares with others."""
    classes: list[type[Any]] = [
        each for name, each in vars(module).items() if name.endswith("Options")
    ]
    own = [each for each in classes if each.__module__ == module.__name__]
    (options,) = own or classes
    return options


def test_every_measurement_is_on_the_page() -> None:
    assert {name for name, _ in ON_THE_PAGE} == set(COMMANDS.commands)
    mentioned = set(re.findall(r"^\| `(\S+)` ", PAGE, re.MULTILINE))
    mentioned |= {
        command_line.split()[0] for name, command_line in ON_THE_PAGE if name == "experiments"
    }
    assert set(EXPERIMENTS.commands) <= mentioned
