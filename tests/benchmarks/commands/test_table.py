"""The tables name every command, and how a command ends is told in one line."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from redraft.benchmarks import tasks, winrate
from redraft.benchmarks.__main__ import COMMANDS
from redraft.benchmarks.__main__ import main as bench
from redraft.benchmarks.commands.table import CommandTable
from redraft.benchmarks.experiments import EXPERIMENTS
from redraft.benchmarks.workbench import STEPS

BENCHMARKS = Path(__file__).resolve().parents[3] / "benchmarks"


@pytest.mark.parametrize("table", [COMMANDS, EXPERIMENTS, STEPS, tasks.STEPS, winrate.STEPS])
def test_every_row_names_a_module(table: CommandTable) -> None:
    for name, about in table.commands.items():
        assert find_spec(f"{table.package}.{name.replace('-', '_')}")
        assert about


def test_beside_the_table_stands_one_file_for_each_command() -> None:
    modules = {name.replace("-", "_") for name in COMMANDS.commands}
    packages = {"experiments", "workbench"}
    files = {path.stem for path in BENCHMARKS.glob("*.py")}
    assert files - {"__init__", "__main__"} == modules - packages


def test_a_command_that_does_not_exist_is_told_those_that_do(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert bench(["experiments", "gates"]) == 2
    message = capsys.readouterr().err
    assert message.startswith("redraft bench experiments: unknown 'gates'; known: rerank, ")


def test_an_option_that_does_not_exist_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench(["overhead", "--request", "3"]) == 2
    expected = "redraft bench overhead: unknown option --request; did you mean --requests"
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(expected)


def test_a_measurement_without_a_result_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench(["report", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"redraft bench report: no results under {tmp_path}\n"
