"""Other people's clients against a real socket: the OpenAI SDKs for Python and Node, locust.
Spans: server/api, clients/node, clients/locustfile"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from redraft.server.api.app import build_app
from redraft.server.config import ServerConfig
from redraft.server.engine.scripted_engine import ScriptedEngine, demo_reply
from redraft.server.model import ServedModel
from redraft.server.service import Service
from tests.support.serving import serving

DRAFT = "This is the draft of a scripted engine."
REFINEMENT = "This is the refinement of a scripted engine."


ROWS = {"direct", "refine", "refine twice", "stream", "stream: first text", "stream: first answer"}
# Which request comes next is chance, and how many come in a second is the machine's business.
UNTIL_EACH_ROW = f"""
import gevent
from locust import events
from redraft.clients.locustfile import Caller

missing = {ROWS!r}

@events.init.add_listener
def watch(environment, **_):
    @environment.events.request.add_listener
    def made(name, **_):
        missing.discard(name)
        if not missing:
            gevent.spawn(environment.runner.quit)
"""


@pytest.fixture
def url() -> Iterator[str]:
    engine = ScriptedEngine(reply=demo_reply, keep_history=False)
    with serving(build_app(ServerConfig(), Service(ServedModel(engine)))) as server:
        yield server.url


def shows_whole_and_streamed(shown: str) -> None:
    whole, streamed = shown.split("\n[reasoning]\n")
    assert DRAFT in whole  # of two responses with one score, "best" keeps the earlier
    assert "stop reason: max_iterations" in whole
    reasoning, answer = streamed.split("\n[content]\n")
    assert DRAFT in reasoning
    assert "Overall Score: [[6]]" in reasoning
    assert answer.strip().startswith(REFINEMENT)


def test_the_openai_sdk_for_python(url: str, root: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "redraft.clients.openai_sdk", url],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    shows_whole_and_streamed(ran.stdout)


@pytest.mark.slow
def test_the_openai_sdk_for_node(url: str, root: Path) -> None:
    node, folder = shutil.which("node"), root / "clients" / "node"
    if not node:
        pytest.skip("no node on PATH")
    if not (folder / "node_modules" / "openai").is_dir():
        pytest.skip("run npm install in clients/node, or make test")
    ran = subprocess.run(
        [node, "example.mjs", url], cwd=folder, capture_output=True, text=True, timeout=300
    )
    assert ran.returncode == 0, ran.stderr
    shows_whole_and_streamed(ran.stdout)


@pytest.mark.slow
def test_the_load_profile_runs_without_a_failure(url: str, root: Path, tmp_path: Path) -> None:
    if not importlib.util.find_spec("locust"):  # importing it would patch this process
        pytest.skip("locust is not installed")
    report = tmp_path / "report"
    profile = tmp_path / "until_each_row.py"
    profile.write_text(UNTIL_EACH_ROW)
    ran = subprocess.run(
        [sys.executable, "-m", "locust", "-f", str(profile), "--headless", "-u", "4",
         "-r", "4", "-t", "240s", "-H", url, "--json-file", str(report)],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=300,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    rows = {row["name"]: row for row in json.loads(report.with_suffix(".json").read_text())}
    assert rows.keys() >= ROWS
    assert all(row["num_failures"] == 0 and row["num_requests"] > 0 for row in rows.values())
