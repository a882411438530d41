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


def test_without_a_command_it_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["--help"], ["help"]):
        assert cli.main(arguments) == 0
        shown = capsys.readouterr().out
        assert all(command in shown for command in ("serve", "chat", "train", "bench"))


def test_the_version_is_the_one_of_the_changelog(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"redraft {__version__}\n"
    released = re.findall(r"^## (\S+)", (root / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert released[0] == __version__


def test_an_unknown_command_is_told_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["server"]) == 2
    said = "redraft: unknown command 'server'; known: serve, chat, train, bench\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("command", ["serve", "chat", "train", "bench"])
def test_every_command_has_help(command: str, root: Path) -> None:
    if command == "train":
        pytest.importorskip("yaml")
    shown = subprocess.run(
        [sys.executable, "-m", "redraft.server.cli", command, "--help"],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert f"redraft {command}" in shown.stdout


@pytest.mark.parametrize("arguments", [["--help"], ["bench", "latency", "--help"]])
def test_a_reader_that_has_had_enough_is_no_error(arguments: list[str], root: Path) -> None:
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


def test_a_missing_library_is_named_with_the_extra_that_brings_it(
    tmp_path: Path, root: Path
) -> None:
    """A Python without training libraries: their place is taken by a module that is not there."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "class Nowhere:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'torch':\n"
        "            raise ModuleNotFoundError('none', name='torch')\n"
        "sys.meta_path.insert(0, Nowhere())\n"
    )
    said = subprocess.run(
        [sys.executable, "-m", "redraft.server.cli", "train", "base_model", "--output", tmp_path],
        cwd=root,
        env={"PYTHONPATH": f"{tmp_path}:{root}"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert said.returncode == 2
    assert said.stderr == "redraft: train needs 'torch'; run: pip install 'redraft[train]'\n"
