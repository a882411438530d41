"""`redraft keys`: the key it makes is the one that its line lets in."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from redraft.server.api.keys import ApiKey
from redraft.server.cli import main


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    assert main(["keys", *arguments]) == 0
    return capsys.readouterr().out.splitlines()


def test_a_new_key_and_the_line_that_lets_it_in(capsys: pytest.CaptureFixture[str]) -> None:
    key, line = said(capsys, "new", "alice", "--expires", "2099-06-30")
    assert key not in line
    read = ApiKey.read(line)
    assert read.expires is not None
    assert read == ApiKey.of("alice", key, read.expires)
    assert said(capsys, "new", "alice")[0] != key


def test_a_key_that_exists_is_hashed(root: Path) -> None:
    hashed = subprocess.run(
        [sys.executable, "-m", "redraft.server.cli", "keys", "hash", "alice"],
        cwd=root,
        input="sk-1\n",
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert ApiKey.read(hashed.stdout.strip()) == ApiKey.of("alice", "sk-1")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["new"], "NAME"),
        (["old", "alice"], "expected one of new, hash"),
        (["new", "a:b"], "has no : , or #"),
        (["new", "alice", "--expires", "soon"], "2027-06-30"),
    ],
)
def test_what_it_does_not_understand_is_one_line(
    arguments: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["keys", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("redraft keys: ")
    assert problem in line
