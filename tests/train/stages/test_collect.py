"""Collecting: the whole of it against a real, and really hostile, critic on the loopback."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from redraft.server import jsonl
from redraft.server.options import build
from redraft.train.collector import CollectOptions
from redraft.train.data.instructions import read
from redraft.train.data.records import read_lessons
from redraft.train.stages import collect, filter
from tests.support.critic_server import CriticServer
from tests.support.serving import Served, serving

ROOT = Path(__file__).resolve().parents[3]
ENGINE = {"first_wait_s": 0.001, "concurrency": 4, "timeout_s": 300}


def instructions_file(folder: Path, count: int) -> Path:
    path = folder / "instructions.jsonl"
    lines = [json.dumps({"instruction": f"Tell me about number {n}."}) for n in range(count)]
    path.write_text("\n".join(lines) + "\n")
    return path


def options(folder: Path, served: Served, count: int = 12, **given: Any) -> CollectOptions:
    engine = {"url": served.v1, **ENGINE, **given.pop("engine", {})}
    content = {
        "data": [str(instructions_file(folder, count))],
        "output": str(folder / "out"),
        "model": {"model": "base", **engine},
        "critic": {"model": "critic", "completion_price": 1000.0, **engine},
    }
    return build(CollectOptions, {**content, **given}, "collect")


def run(given: CollectOptions) -> int:
    import asyncio

    return asyncio.run(collect.collect(given, read(given.data).examples))


def lessons(folder: Path) -> list[Any]:
    return list(read_lessons(folder / "out" / "collected.jsonl"))


def summary(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "out" / "collect.json").read_text())
    return content


def test_each_instruction_gets_a_draft_feedback_refinement_and_two_scores(tmp_path: Path) -> None:
    with serving(CriticServer(), lifespan="off") as served:
        assert run(options(tmp_path, served)) == 0
    found = lessons(tmp_path)
    assert len(found) == 12
    for lesson in found:
        assert lesson.draft.startswith("A draft on")
        assert lesson.feedback.startswith("Weaknesses: It is")
        assert lesson.refinement.startswith("Better: A draft on")
        assert lesson.draft_score is not None
        assert lesson.draft_score < lesson.refinement_score == 9


def test_a_lesson_may_be_followed_by_one_on_its_refinement(tmp_path: Path) -> None:
    with serving(CriticServer(), lifespan="off") as served:
        assert run(options(tmp_path, served, follow_ups=1.0)) == 0
        assert summary(tmp_path)["lessons"] == 24
        pairs = list(zip(*[iter(lessons(tmp_path))] * 2, strict=True))
        assert all(second.draft == first.refinement for first, second in pairs)
        assert all(second.draft_ids == () for _, second in pairs)  # nobody sampled it
        assert run(options(tmp_path, served, follow_ups=0.5)) == 0
    assert 12 < summary(tmp_path)["lessons"] < 24


def test_a_second_run_pays_for_nothing(tmp_path: Path) -> None:
    critic = CriticServer()
    with serving(critic, lifespan="off") as served:
        run(options(tmp_path, served))
        before = critic.requests
        run(options(tmp_path, served))
    assert critic.requests == before == 48
    assert summary(tmp_path)["spent"]["reused"] == 48


def test_a_hostile_critic_cannot_stop_the_run_and_rejects_are_counted(tmp_path: Path) -> None:
    troubles = {None: 60, "429": 10, "500": 8, "cut": 8, "malformed": 5, "refuse": 5}
    plan = random.Random(1).choices(list(troubles), list(troubles.values()), k=2000)
    critic = CriticServer(lambda number: plan[number % len(plan)])
    with serving(critic, lifespan="off") as served:
        engine = {"timeout_s": 300, "retries": 9}
        given = options(tmp_path, served, count=60, max_failures=1.0, engine=engine)
        assert run(given) == 0
    told = summary(tmp_path)
    assert told["lessons"] + sum(told["failed"].values()) == 60
    assert told["failed"].get("refused", 0) > 0
    assert told["spent"]["retries"] > 10
    failures = list(jsonl.read(tmp_path / "out" / "failures.jsonl"))
    assert all(row["detail"] for row in failures)
    rules = filter.FilterOptions(str(tmp_path / "out" / "collected.jsonl"), str(tmp_path / "f"))
    counts = filter.run(rules)
    assert counts.pop("kept") > 0
    assert counts  # malformed feedback, missing scores
    assert sum(counts.values()) < told["lessons"]


def test_a_critic_that_falls_silent_is_asked_again(tmp_path: Path) -> None:
    critic = CriticServer(lambda number: "hang" if number in (1, 4) else None)
    with serving(critic, lifespan="off") as served:
        # On a slow machine other calls may take too long, too; they are asked again as well.
        engine = {"timeout_s": 2.0, "retries": 50}
        assert run(options(tmp_path, served, count=2, engine=engine)) == 0
    assert len(lessons(tmp_path)) == 2
    assert summary(tmp_path)["spent"]["retries"] >= 2


def test_what_failed_is_asked_again_by_the_next_run(tmp_path: Path) -> None:
    class Moody:
        refuses = True

    critic = CriticServer(lambda number: "refuse" if Moody.refuses and number % 3 == 0 else None)
    with serving(critic, lifespan="off") as served:
        given = options(tmp_path, served, max_failures=1.0)
        run(given)
        assert summary(tmp_path)["failed"]
        Moody.refuses = False
        assert run(given) == 0
    assert len(lessons(tmp_path)) == 12


def test_a_wrong_key_stops_the_run_early(tmp_path: Path) -> None:
    critic = CriticServer(lambda number: "refuse")
    with serving(critic, lifespan="off") as served:
        assert run(options(tmp_path, served, count=500)) == 1
    assert critic.requests < 60
    assert "all failed" in summary(tmp_path)["stopped"]


def test_at_the_cost_cap_it_stops_below_it_with_everything_saved(tmp_path: Path) -> None:
    with serving(CriticServer(), lifespan="off") as served:
        # 50 completion tokens at 1000 a million: 0.05 a call, but a call may cost 2048 tokens.
        capped = options(tmp_path, served, count=100, max_cost=10.0)
        assert run(capped) == collect.COST_REACHED
        told = summary(tmp_path)
        assert 0 < told["cost_in_ledger"] <= 10.0
        assert 0 < len(lessons(tmp_path)) < 100
        assert "max-cost" in told["stopped"]
        assert run(options(tmp_path, served, count=100, max_cost=100.0)) == 0
    assert len(lessons(tmp_path)) == 100


def test_no_more_calls_are_under_way_than_allowed(tmp_path: Path) -> None:
    critic = CriticServer(delay_s=0.01)
    with serving(critic, lifespan="off") as served:
        run(options(tmp_path, served, count=40, engine={"concurrency": 3}))
    assert critic.most_at_once <= 6  # three for the base model, three for the critic


def test_other_critics_score_and_agreement_is_told(tmp_path: Path) -> None:
    with serving(CriticServer(), lifespan="off") as served:
        other = {"model": "other", "url": served.v1, **ENGINE}
        run(options(tmp_path, served, other_critics=[other]))
    agreed = summary(tmp_path)["agreement"]["other"]
    assert agreed["responses"] == 12
    assert 0 < agreed["kappa"] < 1


def test_a_dry_run_asks_nobody_and_names_tokens_and_money(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = instructions_file(tmp_path, 10)
    critic = ["model=critic", "url=http://127.0.0.1:9/v1", "completion_price=30"]
    base = ["model=base", "url=http://127.0.0.1:9/v1"]
    argv = ["--data", str(data), "--output", str(tmp_path / "out"), "--dry-run"]
    assert collect.main([*argv, "--model", *base, "--critic", *critic]) == 0
    told = capsys.readouterr().out
    assert "10 calls" in told
    assert "20 calls" in told  # two independent scores each
    assert "cost" in told
    assert not (tmp_path / "out").exists()


def config_file(folder: Path, given: CollectOptions, served: Served) -> Path:
    engine = {"url": served.v1, **ENGINE}
    path = folder / "collect.json"
    content = {
        "data": list(given.data),
        "output": given.output,
        "model": {"model": "base", **engine},
        "critic": {"model": "critic", **engine},
    }
    path.write_text(json.dumps(content))
    return path


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_writes_the_lessons_it_has(number: signal.Signals, tmp_path: Path) -> None:
    ledger = tmp_path / "out" / "ledger.jsonl"
    with serving(CriticServer(delay_s=0.02), lifespan="off") as served:
        config = config_file(tmp_path, options(tmp_path, served, count=400), served)
        command = [sys.executable, "-m", "redraft.train", "collect", "--config", str(config)]
        signal_when_it_has(command, ledger, 60, number)
        collected = len(lessons(tmp_path))
        assert 0 < collected < 400
        assert summary(tmp_path)["stopped"] == "told to stop"
        subprocess.run(command, cwd=ROOT, check=True, timeout=300)
    assert len(lessons(tmp_path)) == 400


@pytest.mark.slow
def test_killed_at_ten_random_moments_nothing_is_lost_and_nothing_paid_twice(
    tmp_path: Path,
) -> None:
    critic = CriticServer(delay_s=0.005)
    rng = random.Random(7)
    ledger = tmp_path / "out" / "ledger.jsonl"
    with serving(critic, lifespan="off") as served:
        given = options(tmp_path, served, count=150)
        config = config_file(tmp_path, given, served)
        command = [sys.executable, "-m", "redraft.train", "collect", "--config", str(config)]
        for _ in range(10):
            before = whole_lines(ledger)
            kill_when_it_has(command, ledger, len(before) + rng.randint(1, 40))
            assert whole_lines(ledger)[: len(before)] == before  # append-only
        subprocess.run(command, cwd=ROOT, check=True, timeout=300)
    keys = Counter(json.loads(line)["key"] for line in whole_lines(ledger))
    assert set(keys.values()) == {1}
    assert len(keys) == 600  # a draft, a lesson and two scores for each
    assert len(lessons(tmp_path)) == 150
    assert len(critic.paid) == 600
    again = sum(critic.paid.values()) - 600
    assert again <= 10 * 8  # only what was under way when it was killed


def whole_lines(path: Path) -> list[bytes]:
    if not path.exists():
        return []
    return [line for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]


def kill_when_it_has(command: list[str], ledger: Path, lines: int) -> None:
    signal_when_it_has(command, ledger, lines, signal.SIGKILL)


def signal_when_it_has(
    command: list[str], ledger: Path, lines: int, number: signal.Signals
) -> None:
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL, env=dict(os.environ))
    try:
        while process.poll() is None and len(whole_lines(ledger)) < lines:
            time.sleep(0.001)
        process.send_signal(number)
        process.wait(timeout=120)
    finally:
        process.kill()
        process.wait(timeout=120)
