"""The latency measurement with the servers it starts itself: Redraft and vLLM's own, on a model
made for it.
Spans: benchmarks/latency, benchmarks/load, benchmarks/phased_model"""

from __future__ import annotations

import json
from pathlib import Path

import psutil
import pytest

pytest.importorskip("matplotlib", reason="the bench extra is not installed")

from redraft.benchmarks import latency, phased_model, report

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(1800)]
PHASE_TOKENS = 24


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("phased")
    size = ["--hidden", "64", "--layers", "2", "--heads", "2"]
    assert phased_model.main([str(directory), *size, "--phase-tokens", str(PHASE_TOKENS)]) == 0
    return directory


def test_a_run_on_a_model_starts_its_servers_and_stops_them(model: Path, tmp_path: Path) -> None:
    arguments = ["--model", str(model), "--phase-tokens", str(PHASE_TOKENS + 1)]
    cell = ["--prompt-tokens", "40", "--iterations", "2", "--concurrency", "2"]
    small = ["--requests", "2", "--repeats", "1", "--kv-cache-mib", "64"]
    before = {child.pid for child in psutil.Process().children()}
    assert latency.main([*arguments, *cell, *small, "--out", str(tmp_path)]) == 0
    assert {child.pid for child in psutil.Process().children()} == before
    result = json.loads((tmp_path / "latency.json").read_text())
    (measured,) = result["figures"].values()
    assert result["failures"] == {}
    assert set(measured["systems"]) == {"redraft", "floor", "client-loop", "client-chat"}
    assert set(result["config"]["versions"]) >= {"redraft"}
    for summary in measured["systems"].values():
        # As many tokens for every system: a draft, and two of feedback and refinement.
        assert summary["tokens_per_answer"] == 5 * (PHASE_TOKENS + 1)
        assert summary["cpu_per_token_s"]["estimate"] > 0
        assert summary["server_cpu_per_token_s"]["estimate"] > 0
    assert report.main([str(tmp_path), "--out", str(tmp_path / "report.html")]) == 0
    page = (tmp_path / "report.html").read_text()
    assert "plot: latency phases" in page
    assert "is missing" not in page
