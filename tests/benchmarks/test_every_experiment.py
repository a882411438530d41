"""Every experiment for real: the shipped model on vLLM, the exact judge, critics with and without
noise, all started by the command itself; then the report of it.
Spans: benchmarks/experiments, benchmarks/report, train/exact"""

from __future__ import annotations

import json
from pathlib import Path

import psutil
import pytest

pytest.importorskip("matplotlib", reason="the bench extra is not installed")

from redraft.benchmarks.__main__ import main as bench
from redraft.benchmarks.experiments import all as every

SHIPPED = Path(__file__).resolve().parents[2] / "models" / "redraft-workbench"
PROMPTS = 3

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not SHIPPED.is_dir(), reason="no model is shipped yet"),
]


def test_small_real_runs_of_all_experiments_make_the_report(tmp_path: Path) -> None:
    before = {child.pid for child in psutil.Process().children()}
    arguments = ["--workbench", str(SHIPPED), "--count", str(PROMPTS), "--limit", str(PROMPTS)]
    assert bench(["experiments", "all", *arguments, "--out", str(tmp_path)]) == 0
    assert {child.pid for child in psutil.Process().children()} == before
    outcome = {
        name: json.loads((tmp_path / f"{name}.json").read_text()) for name in every.EXPERIMENTS
    }
    assert all(result["failures"] == {} for result in outcome.values())
    curve = outcome["iterations"]["figures"]
    assert [curve[str(k)]["right"]["n"] for k in range(5)] == [PROMPTS] * 5
    drafts = outcome["rerank"]["figures"]
    assert drafts["best of 16"]["tokens"]["estimate"] > drafts["best of 2"]["tokens"]["estimate"]
    verdicts = outcome["critic-quality"]["figures"]["verdicts_right"]
    assert verdicts["exact"]["estimate"] == 100
    assert {"noisy-0.05", "noisy-0.4", "the model itself"} < set(verdicts)
    groups = outcome["wordings"]["figures"]
    assert groups["same questions, French"]["refined"]["right"]["n"] == PROMPTS
    # What two experiments both need was asked once.
    asked = [
        json.loads(line)["key"] for line in (tmp_path / "answers.jsonl").read_text().splitlines()
    ]
    assert len(asked) == len(set(asked))
    page = tmp_path / "report.html"
    assert bench(["report", str(tmp_path), "--out", str(page)]) == 0
    text = page.read_text()
    assert text.count("<section") == len(outcome)
    assert text.count("data:image/svg+xml") == sum(len(each["plots"]) for each in outcome.values())
    assert "is missing" not in text
