"""docs/benchmarks.md says nothing that is not so: its commands have these options, and every
measurement is on it."""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sklearn", reason="the bench extra is not installed")

from redraft.benchmarks.__main__ import measurements
from redraft.benchmarks.experiments import experiments

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^redraft bench (\S+) ?(.*)$", PAGE, re.MULTILINE)


@pytest.mark.parametrize(("name", "given"), COMMANDS)
def test_a_command_on_the_page_has_these_options(name: str, given: str) -> None:
    arguments = shlex.split(given)
    package = "benchmarks"
    if name == "experiments":
        package, name, *arguments = "redraft.benchmarks.experiments", *arguments
    module: Any = importlib.import_module(f"{package}.{name.replace('-', '_')}")
    module.parser().parse_args(arguments)


def test_every_measurement_is_on_the_page() -> None:
    assert {name for name, _ in COMMANDS} == set(measurements())
    mentioned = set(re.findall(r"^\| `(\S+)` ", PAGE, re.MULTILINE))
    mentioned |= {given.split()[0] for name, given in COMMANDS if name == "experiments"}
    assert set(experiments()) <= mentioned
