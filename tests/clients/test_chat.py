"""The terminal chat: what it shows, what it sends, and that a pipe works too."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from redraft import Redraft
from redraft.clients.chat import Screen, converse
from redraft.server.api.app import build_app
from redraft.server.config import ServerConfig
from redraft.server.engine.scripted_engine import Entry, ScriptedEngine, demo_reply
from redraft.server.service import Service
from tests.support.asgi import srt_model
from tests.support.loops import feedback
from tests.support.serving import serving


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@contextmanager
def server_of(*script: Entry) -> Iterator[tuple[Redraft, ScriptedEngine]]:
    engine = ScriptedEngine(*script)
    app = build_app(ServerConfig(), Service(srt_model(engine)))
    with serving(app) as server, Redraft(server.url) as client:
        yield client, engine


def chat(*lines: str, script: tuple[Entry, ...], quiet: bool = False) -> tuple[str, ScriptedEngine]:
    out = io.StringIO()
    with server_of(*script) as (client, engine):
        converse(client, lines, Screen(out, quiet), {})
    return out.getvalue(), engine


ROUND = ("A country.", feedback(4), "Paris.")


def test_every_phase_is_shown_and_then_the_answer() -> None:
    shown, _ = chat("Capital of France?", script=ROUND)
    assert shown.startswith("draft\nA country.\n\nfeedback 1\n")
    assert "\n\nrefinement 1\nParis.\n\n" in shown
    assert shown.endswith("answer (refinement 1; max_iterations; scores: 4)\nParis.\n")


def test_quiet_shows_the_answer_only() -> None:
    assert chat("Capital of France?", script=ROUND, quiet=True)[0] == "Paris.\n"


def test_phases_are_dim_on_a_terminal_and_the_answer_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    out = Terminal()
    with server_of(*ROUND) as (client, _):
        converse(client, ["Capital of France?"], Screen(out), {})
    assert "\033[2mA\033[0m" in out.getvalue()
    assert out.getvalue().endswith("\nParis.\n")
    monkeypatch.setenv("NO_COLOR", "1")
    assert not Screen(out).colours


def test_earlier_answers_are_part_of_the_conversation_but_their_feedback_is_not() -> None:
    _, engine = chat("Capital of France?", "And of Spain?", script=(*ROUND, *ROUND))
    second = engine.history[3].text
    assert "Capital of France?" in second
    assert "Paris." in second
    assert "A country." not in second
    assert "Overall Score" not in second


def test_new_forgets_and_quit_ends() -> None:
    _, engine = chat("One?", "/new", "Two?", "/quit", "Three?", script=(*ROUND, *ROUND))
    assert len(engine.history) == 6
    assert "One?" not in engine.history[3].text


def test_an_unknown_command_and_an_error_are_explained() -> None:
    shown, _ = chat("/what", "Capital of France?", script=())
    assert "/new forgets" in shown
    assert "error: " in shown


def test_questions_can_come_from_a_pipe(root: Path) -> None:
    engine = ScriptedEngine(reply=demo_reply)
    with serving(build_app(ServerConfig(), Service(srt_model(engine)))) as server:
        chatted = subprocess.run(
            [sys.executable, "-m", "redraft.clients.chat", "--url", server.url, "--quiet"],
            cwd=root,
            input="Hello?\n\nAnd now?\n",
            capture_output=True,
            text=True,
            timeout=300,
            check=True,
        )
    assert len(chatted.stdout.splitlines()) == 2


def test_a_failure_in_a_pipe_is_an_exit_code(root: Path) -> None:
    chatted = subprocess.run(
        [sys.executable, "-m", "redraft.clients.chat", "--url", "http://127.0.0.1:9"],
        cwd=root,
        input="Hello?\n",
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert chatted.returncode == 1
    assert "no answer from http://127.0.0.1:9" in chatted.stdout
