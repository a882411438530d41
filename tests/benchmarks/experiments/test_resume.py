"""Experiments that are stopped, killed or run again: nothing is asked twice, the table is the same;
and what fails is counted, and is in no figure.
Spans: benchmarks/experiments, benchmarks/output/journal"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("matplotlib", reason="the bench extra is not installed")

from fastapi import FastAPI
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from redraft.benchmarks.__main__ import main as bench
from redraft.server.engine.base import Sampling
from redraft.server.engine.scripted_engine import ScriptedEngine
from tests.support.loops import FORMAT, feedback
from tests.support.serving import Pause, answering, serving

FEEDBACK = f"<|{FORMAT.feedback.ids[0]}|>"
PROMPTS = 12
ROOT = Path(__file__).resolve().parents[3]


def reply(prompt: str, sampling: Sampling) -> str:
    """Answers by chance, as its seed has it."""
    seed = sampling.seed or 0
    return feedback(1 + seed % 10) if prompt.endswith(FEEDBACK) else str(seed % 3)


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    path = tmp_path / "labelled.jsonl"
    rows = [{"prompt": f"guess {n}", "answers": ["1"]} for n in range(PROMPTS)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def command(url: str, labelled: Path, out: Path, *more: str) -> list[str]:
    arguments = ["experiments", "equal-compute", "--url", url, "--model", "scripted"]
    return [*arguments, "--labelled", str(labelled), "--retries", "0", "--out", str(out), *more]


def figures(out: Path, name: str = "equal-compute") -> dict[str, Any]:
    result: dict[str, Any] = json.loads((out / f"{name}.json").read_text())["figures"]
    return result


@pytest.mark.slow
def test_the_same_seed_gives_the_same_table_and_another_seed_another(
    labelled: Path, tmp_path: Path
) -> None:
    outs = [tmp_path / name for name in ("one", "two", "three")]
    with answering(ScriptedEngine(reply=reply), max_drafts_cap=32) as server:
        for out, seed in zip(outs, ("5", "5", "6"), strict=True):
            assert bench(command(server.v1, labelled, out, "--seed", seed)) == 0
    one, two, three = map(figures, outs)
    assert one == two
    assert one["direct"]["right"] != three["direct"]["right"]
    tables = [json.loads((out / "equal-compute.json").read_text())["tables"] for out in outs]
    assert tables[0] == tables[1]
    plots = [(out / "equal-compute.svg").read_bytes() for out in outs]
    assert plots[0] == plots[1]


@pytest.mark.slow
def test_a_killed_run_goes_on_and_asks_nothing_twice(labelled: Path, tmp_path: Path) -> None:
    pause = Pause("refinement-1")
    engine = ScriptedEngine(reply=reply)
    with answering(engine, max_drafts_cap=32) as server:
        assert bench(command(server.v1, labelled, tmp_path / "whole")) == 0
        # One at a time, direct answers come first; it freezes in the first refinement.
        engine.gate = pause
        stopped = command(server.v1, labelled, tmp_path / "stopped", "--concurrency", "1")
        process = subprocess.Popen(
            [sys.executable, "-m", "redraft.benchmarks", *stopped],
            cwd=ROOT,
            stderr=subprocess.DEVNULL,
        )
        pause.wait_reached()
        process.kill()
        assert process.wait() == -signal.SIGKILL
        engine.gate = None
        pause.release(server)
        ledger = tmp_path / "stopped" / "answers.jsonl"
        kept = ledger.read_bytes()
        assert kept.count(b"\n") == 1
        ledger.write_bytes(kept + b'{"key": "half of a li')
        again = command(server.v1, labelled, tmp_path / "stopped")
        assert bench(again) == 0
        assert ledger.read_bytes().startswith(kept + b'{"key"')
        asked = len(engine.history)
        assert bench(again) == 0
    assert len(engine.history) == asked
    assert figures(tmp_path / "stopped") == figures(tmp_path / "whole")


class Judged(BaseModel):
    prompt: str
    response: str


def judge() -> FastAPI:
    """Knows nothing of the first prompt."""
    app = FastAPI()

    @app.post("/v1/judge", response_model=None)
    def verdict(body: Judged) -> dict[str, bool] | JSONResponse:
        if body.prompt == "guess 0":
            return JSONResponse({"error": {"message": "unknown"}}, 400)
        return {"right": body.response == "1"}

    return app


def test_what_the_judge_does_not_know_is_a_failure_and_in_no_figure(
    labelled: Path, tmp_path: Path
) -> None:
    rows = [{"prompt": f"guess {n}"} for n in range(PROMPTS)]
    labelled.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with (
        answering(ScriptedEngine(reply=reply), max_drafts_cap=32) as server,
        serving(judge()) as judging,
    ):
        arguments = command(server.v1, labelled, tmp_path / "out", "--judge", judging.v1)
        assert bench(arguments) == 1  # more than one in a hundred failed
        assert bench([*arguments, "--max-failed", "0.1"]) == 0
    result = json.loads((tmp_path / "out" / "equal-compute.json").read_text())
    ways = [name for name in result["figures"] if name != "refining_minus"]
    assert result["failures"] == {"unjudged_http_400": len(ways)}
    assert {result["figures"][way]["right"]["n"] for way in ways} == {PROMPTS - 1}


def test_a_server_that_is_not_there_ends_the_run_with_what_failed(
    labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:  # bound and not listening: nobody else can answer there
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        assert bench(command(url, labelled, tmp_path / "out")) == 1
    assert f"no answers from direct, refine 1, refine 2: {{'connection': {3 * PROMPTS}}}" in (
        capsys.readouterr().err
    )


def test_unreadable_feedback_is_an_outcome_and_is_told(labelled: Path, tmp_path: Path) -> None:
    def mumbles(prompt: str, sampling: Sampling) -> str:
        return "hm" if prompt.endswith(FEEDBACK) else "1"

    with answering(ScriptedEngine(reply=mumbles), max_drafts_cap=32) as server:
        arguments = command(server.v1, labelled, tmp_path / "out")
        arguments[1] = "critic-quality"
        assert bench(arguments) == 0
    result = json.loads((tmp_path / "out" / "critic-quality.json").read_text())
    assert result["failures"] == {}
    itself = result["figures"]["the model itself"]
    assert itself["malformed"] == itself["right"]["n"] == PROMPTS
    assert itself["right"]["estimate"] == 100
    assert result["tables"][0]["rows"][-1][-1] == str(PROMPTS)
