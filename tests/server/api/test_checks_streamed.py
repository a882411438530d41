"""Checks over a real socket: streamed through the OpenAI SDK, and slow ones beside other requests.
Spans: server/api, server/refine/verifying"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from redraft.server.engine.scripted_engine import ScriptedEngine
from redraft.server.refine.checks import KINDS, Kind
from redraft.server.refine.checks.check import Arguments, Verified, passed
from redraft.server.refine.checks.splitting import Text
from tests.support.serving import answering

NO_COMMAS = {"kind": "without", "characters": ","}
PASSES = "Pears and figs"
WAIT_S = 60


@pytest.mark.parametrize("keep", ["best", "last"])
def test_the_openai_sdk_streams_a_checked_loop(keep: str) -> None:
    with answering(ScriptedEngine("Pears, figs", PASSES)) as served:
        client = openai.OpenAI(base_url=served.v1, api_key="none")
        refine = {"checks": [NO_COMMAS], "keep": keep, "max_iterations": 1}
        stream = client.chat.completions.create(
            model="scripted",
            messages=[{"role": "user", "content": "Name fruits."}],
            stream=True,
            extra_body={"refine": refine},
        )
        content, reasoning = "", ""
        outcome: dict[str, Any] = {}
        for chunk in stream:
            delta = chunk.choices[0].delta
            content += delta.content or ""
            reasoning += getattr(delta, "reasoning", None) or ""
            outcome = (chunk.model_extra or {}).get("refine", outcome)
    assert content == PASSES
    assert '- no commas: found "Pears, figs". Not met.' in reasoning
    assert outcome["stop_reason"] == "checks_passed"
    assert [[each["passed"] for each in found] for found in outcome["checks"]] == [[False], [True]]


def test_the_events_of_a_refinement_carry_what_was_found() -> None:
    with answering(ScriptedEngine("Pears, figs", PASSES)) as served:
        body = {"prompt": "Name fruits.", "checks": [NO_COMMAS], "stream": True}
        text = httpx.post(f"{served.v1}/refine", json=body, timeout=WAIT_S).text
    assert '"checks":[{"check":{"kind":"without","characters":","},"passed":false' in text
    assert text.index("refine.draft.done") < text.index('"passed":false')
    assert "refine.feedback.done" in text


class Slow:
    """A kind of check that waits until it is let go."""

    def __init__(self) -> None:
        self.begun, self.go = threading.Event(), threading.Event()

    def kind(self) -> Kind:
        return Kind("slow", lambda _: "slow", self._verify, {}, "", "")

    def _verify(self, text: Text, arguments: Arguments) -> Verified:
        self.begun.set()
        assert self.go.wait(WAIT_S)
        return passed("done")


@pytest.fixture
def slow() -> Iterator[Slow]:
    slow = Slow()
    KINDS["slow"] = slow.kind()
    yield slow
    slow.go.set()
    del KINDS["slow"]


def test_a_slow_check_does_not_hold_other_requests(slow: Slow) -> None:
    with answering(ScriptedEngine(reply=lambda prompt, sampling: PASSES)) as served:

        def ask(checks: list[dict[str, str]]) -> str:
            body = {"prompt": "Name fruits.", "checks": checks}
            answer = httpx.post(f"{served.v1}/refine", json=body, timeout=WAIT_S).json()
            return str(answer["stop_reason"])

        answers: list[str] = []
        waiting = threading.Thread(target=lambda: answers.append(ask([{"kind": "slow"}])))
        waiting.start()
        assert slow.begun.wait(WAIT_S)
        assert ask([NO_COMMAS]) == "checks_passed"
        assert answers == []
        slow.go.set()
        waiting.join(WAIT_S)
    assert answers == ["checks_passed"]


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", "(.*)*(.*)*x", "(a|b)*a(a|b){150}c"])
def test_a_hostile_pattern_is_answered(pattern: str) -> None:
    with answering(ScriptedEngine("a refinement")) as served:
        body = {
            "prompt": "Say a.",
            "response": "a" * 20_000 + "b",
            "checks": [{"kind": "regex", "pattern": pattern}],
            "max_iterations": 1,
        }
        answer = httpx.post(f"{served.v1}/refine", json=body, timeout=WAIT_S).json()
    assert answer["checks"][0][0]["passed"] is False
