"""The caller's trace context reaches every engine call of its loop.
Spans: server/api, server/engine/http_engine"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from redraft.server.engine.scripted_engine import ScriptedEngine
from redraft.server.service import Service
from tests.support.asgi import send, srt_model
from tests.support.loops import feedback

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
ROUTES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "Capital of France?"}]},
    "/v1/completions": {"prompt": "Capital of France?", "refine": {}},
    "/v1/refine": {"prompt": "Capital of France?"},
    "/v1/feedback": {"prompt": "Capital of France?", "response": "Lyon"},
}


def carried(route: str, header: str) -> set[str | None]:
    script = (feedback(3),) if route == "/v1/feedback" else ("Lyon", feedback(3), "Paris")
    engine = ScriptedEngine(*script)
    headers = {"traceparent": header}
    service = Service(srt_model(engine))
    answer = asyncio.run(send(service, "POST", route, json=ROUTES[route], headers=headers))
    assert answer.status_code == 200, answer.text
    assert len(engine.history) == len(script)
    return {each.call.traceparent for each in engine.history}


@pytest.mark.parametrize("route", ROUTES)
def test_the_trace_context_of_the_caller_reaches_the_engine(route: str) -> None:
    assert carried(route, TRACEPARENT) == {TRACEPARENT}


@pytest.mark.parametrize("header", ["", "nonsense", f"{TRACEPARENT}-more", TRACEPARENT.upper()])
def test_a_malformed_trace_context_is_dropped(header: str) -> None:
    assert carried("/v1/refine", header) == {None}
