"""A Redraft server in front of another one, as before any fleet of OpenAI-compatible servers: the
loop runs in front, the tokens come from behind, and who leaves the one frees the other.
Spans: server, server/engine/http_engine"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from redraft.server.api.app import build_app
from redraft.server.config import ServerConfig
from redraft.server.engine.base import EngineRefused, EngineUnavailable
from redraft.server.engine.http_engine import HttpEngine, Upstream
from redraft.server.engine.scripted_engine import Fail, ScriptedEngine
from redraft.server.model import ServedModel
from redraft.server.refine.trace_json import PHASES
from redraft.server.service import Service
from tests.server.api.test_disconnect import connection
from tests.support.loops import feedback
from tests.support.serving import Pause, Served, answering, serving

LOOP = ("It is Lyon", feedback(3), "It is Paris")
CHAT = "/v1/chat/completions"
MESSAGES = [{"role": "user", "content": "Capital of France?"}]


class Front:
    """The app in front. Its engine connects on the event loop that will use it."""

    def __init__(self, behind: Served, **options: Any) -> None:
        self._upstream = Upstream(behind.v1, model="scripted:direct", tokens=False, **options)
        self._app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            engine = await HttpEngine.connect(self._upstream)
            served = ServedModel(engine, direct=engine.direct)
            self._app = build_app(ServerConfig(), Service(served))
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await engine.close()
            await send({"type": "lifespan.shutdown.complete"})
        else:
            await self._app(scope, receive, send)


@contextmanager
def chained(engine: ScriptedEngine, **options: Any) -> Iterator[tuple[Served, Served]]:
    """``options`` are those of Upstream."""
    with answering(engine) as behind, serving(Front(behind, **options), lifespan="on") as front:
        yield front, behind


def test_the_loop_runs_in_front_and_the_text_comes_from_behind() -> None:
    engine = ScriptedEngine(*LOOP)
    with chained(engine) as (front, _):
        told = httpx.post(front.url + CHAT, json={"messages": MESSAGES}, timeout=60).json()
    assert told["choices"][0]["message"]["content"] == "It is Paris"
    assert told["refine"]["scores"] == [3, None]
    assert len(engine.history) == 3
    usage = told["usage"]
    assert usage["completion_tokens"] == sum(
        told["refine"]["usage"][phase]["completion_tokens"] for phase in PHASES
    )


@pytest.mark.parametrize("tells", [False, True])
def test_what_goes_wrong_behind_is_told_in_front_if_the_operator_says_so(
    tells: bool, caplog: pytest.LogCaptureFixture
) -> None:
    words = "no GPU on node-17"
    engine = ScriptedEngine(Fail(EngineRefused(words)), "Lyon", Fail(EngineRefused(words)))
    with chained(engine, tells_errors=tells) as (front, _), caplog.at_level("WARNING"):
        refused = httpx.post(front.url + CHAT, json={"messages": MESSAGES}, timeout=60)
        asked = {"messages": MESSAGES, "refine": {"trace": True}}
        failed = httpx.post(front.url + CHAT, json=asked, timeout=60)
    assert (refused.status_code, failed.status_code) == (400, 200)
    assert refused.json()["error"]["code"] == "unsupported_by_engine"
    assert (words in refused.text) is tells
    assert failed.json()["refine"]["stop_reason"] == "engine_failure"
    assert (words in failed.text) is tells
    assert caplog.text.count(words) >= 2


@pytest.mark.parametrize("tells", [False, True])
def test_likewise_what_goes_wrong_in_the_middle_of_a_completion(tells: bool) -> None:
    words = "no GPU on node-17"
    engine = ScriptedEngine(*LOOP[:2], Fail(EngineUnavailable(words), "It is"))
    with chained(engine, tells_errors=tells) as (front, _):
        asked = {"messages": MESSAGES, "refine": {"trace": True}}
        failed = httpx.post(front.url + CHAT, json=asked, timeout=60)
    assert failed.json()["refine"]["stop_reason"] == "engine_failure"
    assert "in the middle of a completion" in failed.text
    assert (words in failed.text) is tells


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("call", [0, 1, 2])  # the draft, the feedback, the refinement
def test_who_leaves_in_front_frees_the_engine_behind(call: int, stream: bool) -> None:
    pause = Pause("")
    engine = ScriptedEngine(*LOOP, gate=pause)

    async def gate(asked: Any, position: int) -> None:
        if len(engine.history) == call + 1:
            await pause(asked, position)

    engine.gate = gate
    with chained(engine) as (front, behind):
        with connection(front, CHAT, {"messages": MESSAGES, "stream": stream}):
            pause.wait_reached()
        pause.wait_left()
        behind.until(lambda: engine.running == 0)
    assert len(engine.history) == call + 1
