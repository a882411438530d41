"""What the server costs is measured on a server that the measurement starts and stops."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("matplotlib", reason="the bench extra is not installed")

from redraft.benchmarks import overhead


@pytest.mark.slow
def test_every_kind_of_request_is_measured(tmp_path: Path) -> None:
    given = ["--requests", "60", "--repeats", "2", "--concurrency", "4", "--out", str(tmp_path)]
    assert overhead.main(given) == 0
    found = json.loads((tmp_path / "overhead.json").read_text())
    assert found["failures"] == {}
    assert set(found["figures"]) == set(overhead.KINDS)
    assert all(of["requests_per_cpu_s"]["n"] == 2 for of in found["figures"].values())
    # A loop of three completions has more tokens in a second of work than a single one.
    direct, refined = found["figures"]["direct"], found["figures"]["refined"]
    tokens, requests = "tokens_per_cpu_s", "requests_per_cpu_s"
    each = [of[tokens]["estimate"] / of[requests]["estimate"] for of in (direct, refined)]
    assert each[1] > 2 * each[0]
