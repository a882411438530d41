"""The shipped model, served by vLLM, with the workbench's exact critic and judge beside it.
Spans: models, server, train/exact"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

pytest.importorskip("matplotlib", reason="the bench extra is not installed")

from redraft.benchmarks import pilot
from redraft.train.exact.app import build_app
from redraft.train.exact.examiner import Noise
from redraft.train.exact.of_workbench import OfWorkbench, opinion
from redraft.train.stages import tasks
from redraft.train.workbench import critic
from redraft.train.workbench.families import FAMILIES
from redraft.train.workbench.judge import judge
from redraft.train.workbench.tasks import Task, sample, task_for
from tests.support.program import running
from tests.support.serving import serving

SHIPPED = Path(__file__).resolve().parents[3] / "models" / "redraft-workbench"
NOISE = Noise(0.5, seed=1)
LIMIT_S = 300  # far more than any answer takes
PROMPTS = 60

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not SHIPPED.is_dir(), reason="no model is shipped yet"),
]


@dataclass(frozen=True)
class Workbench:
    url: str  # of the model's server, /v1 included
    judge: str


@pytest.fixture(scope="module")
def workbench() -> Iterator[Workbench]:
    with (
        serving(build_app(OfWorkbench())) as exact,
        serving(build_app(OfWorkbench(NOISE))) as noisy,
    ):
        critics = ["--critic", f"exact={exact.v1}", "--critic", f"noisy={noisy.v1}"]
        with running("--model", str(SHIPPED), "--in-process", *critics) as program:
            yield Workbench(f"{program.url}/v1", exact.v1)


def reviewed(workbench: Workbench, critic: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Instructions of every family, the model's drafts, and the critic's feedback on them."""
    tasks = sample("test", None, 2 * len(FAMILIES), seed=11)
    asked = {"critic": critic, "max_iterations": 1, "trace": True}

    def review(task: Task) -> tuple[str, str, dict[str, Any]]:
        body = {"prompt": task.instruction, **asked}
        reply = client.post(f"{workbench.url}/refine", json=body).json()
        trace = reply["trace"]
        return task.instruction, trace["drafts"][0]["text"], trace["iterations"][0]["feedback"]

    # All at once: one batch for the engine.
    with httpx.Client(timeout=LIMIT_S) as client, ThreadPoolExecutor(len(tasks)) as pool:
        return list(pool.map(review, tasks))


def test_the_exact_critics_verdicts_on_its_drafts_are_right(workbench: Workbench) -> None:
    verdicts = []
    for instruction, draft, feedback in reviewed(workbench, "exact"):
        task = task_for(instruction)
        assert feedback["text"] == critic.feedback(task, draft)
        assert feedback["score"] == judge(task, draft).score
        verdicts.append(judge(task, draft).right)
    assert True in verdicts
    assert False in verdicts


def test_the_noisy_critics_verdicts_are_wrong_as_often_as_it_was_told(workbench: Workbench) -> None:
    wrong = []
    for instruction, draft, feedback in reviewed(workbench, "noisy"):
        assert feedback["text"] == opinion(instruction, draft, NOISE).feedback
        wrong.append((feedback["score"] == 10) != judge(task_for(instruction), draft).right)
    assert True in wrong
    assert False in wrong


@pytest.mark.parametrize(("family", "refines"), [("total", True), ("reverse", False)])
def test_the_pilot_recommends_refining_where_it_helps_and_nowhere_else(
    workbench: Workbench, tmp_path: Path, family: str, refines: bool
) -> None:
    """Sums are nearly always wrong at first, reversed lists nearly always right."""
    labelled = tmp_path / "labelled.jsonl"
    drawn = ["--split", "test", "--family", family, "--count", str(PROMPTS)]
    assert tasks.main([*drawn, "--output", str(labelled), "--labelled"]) == 0
    arguments = [str(labelled), "--url", workbench.url, "--model", SHIPPED.name]
    more = ["--judge", workbench.judge, "--max-iterations", "1", "--concurrency", "32"]
    assert pilot.main([*arguments, *more, "--out", str(tmp_path)]) == 0
    figures = json.loads((tmp_path / "pilot.json").read_text())["figures"]
    assert figures["prompts"] == PROMPTS
    assert (figures["recommended"]["max_iterations"] > 0) is refines
