"""/docs: every route is described, and every example in it can be sent."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from redraft.server.api.app import build_app
from redraft.server.config import ServerConfig
from redraft.server.engine.scripted_engine import ScriptedEngine
from redraft.server.service import Service
from tests.support.asgi import send, srt_model
from tests.support.loops import feedback

API: dict[str, Any] = build_app(ServerConfig(), Service(srt_model(ScriptedEngine()))).openapi()


def examples() -> list[Any]:
    found = []
    for path, methods in API["paths"].items():
        content = methods.get("post", {}).get("requestBody", {}).get("content", {})
        for name, example in content.get("application/json", {}).get("examples", {}).items():
            found.append(pytest.param(path, example["value"], id=f"{path} {name}"))
    return found


@pytest.mark.parametrize(("path", "body"), examples())
def test_every_example_is_answered(path: str, body: dict[str, Any]) -> None:
    engine = ScriptedEngine(reply=lambda prompt, sampling: f"{sampling.seed} {feedback(5)}")
    answer = asyncio.run(send(Service(srt_model(engine)), "POST", path, json=body))
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("path", [path for path, m in API["paths"].items() if "post" in m])
def test_every_route_that_takes_a_body_has_examples_and_its_errors(path: str) -> None:
    route = API["paths"][path]["post"]
    assert route["requestBody"]["content"]["application/json"]["examples"]
    assert {"200", "4XX", "5XX"} <= route["responses"].keys()
    assert "422" not in route["responses"]


def test_the_page_is_there() -> None:
    service = Service(srt_model(ScriptedEngine()))
    page = asyncio.run(send(service, "GET", "/docs")).text
    files = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(files) == 4
    for name in files:  # none of them from another server
        assert asyncio.run(send(service, "GET", f"/{name}")).status_code == 200
    start = asyncio.run(send(service, "GET", "/docs/start.js")).text
    assert '"openapi.json"' in start
    assert asyncio.run(send(service, "GET", "/docs/else")).status_code == 404
    assert asyncio.run(send(service, "GET", "/openapi.json")).json() == API
