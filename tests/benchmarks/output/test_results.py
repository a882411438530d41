"""A result is a file that can be shown to others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from redraft.benchmarks.output.results import Result, publish


def test_paths_in_the_home_directory_are_told_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/alice")
    config = {
        "base": Path("/home/alice/.cache/redraft/models/smollm2"),
        "model": ("model=/home/alice/own", "/home/alicent/other", "/data/home/alice/x"),
        "seed": 1,
    }
    publish(Result("soak", "What it is.", config, {}, {}), tmp_path)
    written = json.loads((tmp_path / "soak.json").read_text())["config"]
    assert written == {
        "base": "~/.cache/redraft/models/smollm2",
        "model": ["model=~/own", "/home/alicent/other", "/data/home/alice/x"],
        "seed": 1,
    }


@pytest.mark.parametrize("home", ["/", "/nowhere/at/all"])
def test_where_the_home_is_no_part_of_a_path_it_is_left_as_it_is(
    home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", home)
    config = {"url": "http://127.0.0.1:8000/v1", "out": "/srv/runs"}
    publish(Result("soak", "What it is.", config, {}, {}), tmp_path)
    assert json.loads((tmp_path / "soak.json").read_text())["config"] == config
