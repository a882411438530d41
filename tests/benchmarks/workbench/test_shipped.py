"""The shipped model, served by vLLM and asked through the public API, is as good as its card.
Spans: models, server, benchmarks/workbench"""

from __future__ import annotations

from pathlib import Path

import pytest

from redraft.benchmarks.workbench import card_tables, figures
from redraft.benchmarks.workbench.evaluate import EvaluateOptions, evaluate
from redraft.server import jsonl
from redraft.server.refine import manifest

SHIPPED = Path(__file__).resolve().parents[3] / "models" / "redraft-workbench"
MOST_BYTES = 24 * 2**20
PER_FAMILY = 20

pytestmark = pytest.mark.skipif(not SHIPPED.is_dir(), reason="no model is shipped yet")


def test_the_shipped_model_is_small_and_carries_its_manifest_and_card() -> None:
    files = [file for file in SHIPPED.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) <= MOST_BYTES
    assert (SHIPPED / "README.md").is_file()
    result = manifest.read(SHIPPED)
    assert result is not None
    assert result.style == "srt"
    assert result.calibration
    assert result.evaluation["instructions"] >= 2000


def test_the_card_says_what_is_recorded() -> None:
    result = manifest.read(SHIPPED)
    assert result is not None
    rendered = card_tables.render(result.evaluation, {}, []).splitlines()
    steps, experiments = "How long its steps took was not recorded.", "Not measured."
    recorded = [line for line in rendered if line and line not in (steps, experiments)]
    card = (SHIPPED / "README.md").read_text(encoding="utf-8").splitlines()
    assert [line for line in recorded if line not in card] == []


def test_the_readme_says_what_is_recorded() -> None:
    result = manifest.read(SHIPPED)
    assert result is not None
    accuracy = result.evaluation["accuracy"]
    shares = {
        "base model, direct": accuracy["base"],
        "tuned model, its draft": accuracy["draft"],
        "tuned model, refined once": accuracy["refined_1"],
        "right drafts that one iteration spoils": result.evaluation["flips"]["right_to_wrong"],
    }
    readme = (SHIPPED.parent.parent / "README.md").read_text(encoding="utf-8")
    for what, share in shares.items():
        assert f"| {what} | {card_tables.percent(share)} |" in readme


@pytest.mark.vllm
def test_the_shipped_model_is_as_good_as_recorded(tmp_path: Path) -> None:
    result = manifest.read(SHIPPED)
    assert result is not None
    output = tmp_path / "answers.jsonl"
    evaluate(EvaluateOptions(output=output, model=SHIPPED, iterations=1, per_family=PER_FAMILY))
    answers = list(jsonl.read(output))
    for iterations, name in ((0, "draft"), (1, "refined_1")):
        now = figures.share(figures.right_after(answer, iterations) for answer in answers)
        recorded = result.evaluation["accuracy"][name]
        assert now.high >= recorded["low"]
        assert now.low <= recorded["high"]
    verdict = figures.feedback(answers)["verdict"]
    assert verdict.high >= result.evaluation["feedback"]["verdict"]["low"]
