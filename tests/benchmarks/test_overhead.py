"""What the server costs is measured on a server that the measurement starts and stops."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("matplotlib", reason="the bench extra is not installed")

from redraft.benchmarks import overhead
from redraft.child_process import environment, python_module


@pytest.mark.slow
def test_every_kind_of_request_is_measured(tmp_path: Path) -> None:
    arguments = ["--requests", "60", "--repeats", "2", "--concurrency", "4", "--out", str(tmp_path)]
    assert overhead.main(arguments) == 0
    result = json.loads((tmp_path / "overhead.json").read_text())
    assert result["failures"] == {}
    assert set(result["figures"]) == set(overhead.KINDS)
    assert all(of["requests_per_cpu_s"]["n"] == 2 for of in result["figures"].values())
    # A loop of three completions has more tokens in a second of work than a single one.
    direct, refined = result["figures"]["direct"], result["figures"]["refined"]
    tokens, requests = "tokens_per_cpu_s", "requests_per_cpu_s"
    each = [of[tokens]["estimate"] / of[requests]["estimate"] for of in (direct, refined)]
    assert each[1] > 2 * each[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["redraft.py", "server.py", "train.py", "yaml.py"])
def test_a_file_of_the_users_is_not_run_in_place_of_ours(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("raise SystemExit('this is not ours')\n")
    small = ["--requests", "4", "--repeats", "1", "--out", "out"]
    command = python_module("redraft.benchmarks", "overhead", *small)
    subprocess.run(command, cwd=tmp_path, env=environment(), check=True)
    assert (tmp_path / "out" / "overhead.json").is_file()
