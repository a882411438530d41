"""The `redraft` command: what it knows, and what it says when it cannot."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from redraft import __version__
from redraft.server import cli
from tests.support.bare import without_extras


def test_without_a_command_it_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["--help"], ["help"]):
        assert cli.main(arguments) == 0
        shown = capsys.readouterr().out
        assert all(command in shown for command in cli.COMMANDS)


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"redraft {__version__}\n"


def test_an_unknown_command_is_told_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["server"]) == 2
    known = "serve, models, fetch, doctor, keys, chat, train, bench, install, sbom, audit"
    assert capsys.readouterr().err == f"redraft: unknown command 'server'; known: {known}\n"


def run(root: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "redraft.server.cli", *arguments],
        cwd=root,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_command_has_help(command: str, root: Path) -> None:
    shown = run(root, command, "--help")
    assert shown.returncode == 0, shown.stderr
    assert f"redraft {command}" in shown.stdout


@pytest.mark.parametrize("command", ["", "serve", "models", "doctor", "chat", "bench", "install"])
def test_help_needs_no_extra(command: str, tmp_path: Path, root: Path) -> None:
    shown = run(root, *command.split(), "--help", **without_extras(tmp_path, root))
    assert shown.returncode == 0, shown.stderr
    assert "usage: redraft" in shown.stdout


@pytest.mark.parametrize("arguments", [["--help"], ["bench", "latency", "--help"]])
def test_a_reader_that_closes_its_end_is_no_error(arguments: list[str], root: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as nobody:
        ended = subprocess.run(
            [sys.executable, "-m", "redraft.server.cli", *arguments],
            cwd=root,
            stdout=nobody,
            stderr=subprocess.PIPE,
            timeout=120,
        )
    assert ended.stderr == b""  # argparse ends with 0 all the same


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "run", "smoke", "--dry-run"], r"needs '?\w+'?; run: redraft install train"),
        (["serve", "--port", "0"], r"run: redraft install cpu"),
    ],
)
def test_a_missing_library_is_named_with_the_command_that_brings_it(
    arguments: list[str], message: str, tmp_path: Path, root: Path
) -> None:
    ended = run(root, *arguments, **without_extras(tmp_path, root))
    assert ended.returncode == 2
    assert re.search(message, ended.stderr)
    assert "Traceback" not in ended.stderr
