"""A training program's options and its exit status."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from redraft.server.options import ConfigError
from redraft.train import program
from redraft.train.stages.tasks import TasksOptions


def test_the_command_line_wins_over_the_file_over_the_environment_over_the_default(
    tmp_path: Path,
) -> None:
    file = tmp_path / "options.yaml"
    file.write_text("output: file\ncount: 2\nseed: 2\n")
    environ = {"REDRAFT_TASKS_SEED": "3", "REDRAFT_TASKS_SPLIT": "dev"}
    arguments = ["--config", str(file), "--count", "1"]
    options = program.read(TasksOptions, "tasks", arguments, environ)
    assert options == TasksOptions("file", split="dev", count=1, seed=2)


def test_help_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        program.read(TasksOptions, "tasks", ["--help"], {})
    shown = " ".join(capsys.readouterr().out.split())
    assert "usage: redraft train tasks [options]" in shown
    assert "else the file given with --config, else its environment variable" in shown
    assert "of the draw [0; REDRAFT_TASKS_SEED]" in shown


def test_a_problem_is_one_line_and_an_exit_status(capsys: pytest.CaptureFixture[str]) -> None:
    def fails(arguments: Sequence[str]) -> int:
        raise ConfigError("no such thing; take another")

    assert program.run(fails, []) == 2
    assert capsys.readouterr().err == "redraft train: no such thing; take another\n"
