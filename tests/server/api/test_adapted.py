"""Models that share one engine, each with adapters for its phases: their names on every route.
Spans: server/api, server/service, server/model"""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from redraft.server.config import ServerConfig
from redraft.server.engine.http_engine import HttpEngine, Upstream
from redraft.server.engine.scripted_engine import ScriptedEngine
from redraft.server.model import ServedModel
from redraft.server.refine.adapters import PhaseAdapters
from redraft.server.refine.manifest import DefaultPolicy, Manifest
from redraft.server.service import Service
from tests.support.asgi import send, srt_model
from tests.support.loops import FORMAT, feedback
from tests.support.serving import serving
from tests.support.upstream import Scene

CHAT = [{"role": "user", "content": "Capital of France?"}]


def service(*script: Any) -> Service:
    """A base, ``poet`` for all phases, and ``self-critic``, whose drafts are the base's."""
    engine = ScriptedEngine(*(script or ("Lyon", feedback(3), "Paris")))
    base = srt_model(engine)
    twice = Manifest(FORMAT, "", "", policy=DefaultPolicy(max_iterations=2))
    critic = PhaseAdapters(None, "critic", "critic")
    return Service(
        base,
        others=(
            ServedModel(
                engine, base.manifest, served_name="poet", adapters=PhaseAdapters.all("poet")
            ),
            ServedModel(engine, twice, served_name="self-critic", adapters=critic),
        ),
    )


def adapters_of(service: Service) -> list[Any]:
    engine = service.model.engine
    assert isinstance(engine, ScriptedEngine)
    return [received.call.adapter for received in engine.history]


def ask(service: Service, path: str, **body: Any) -> httpx.Response:
    return asyncio.run(send(service, "POST", path, json=body))


def test_each_is_listed_with_its_suffixes_and_its_base() -> None:
    config = ServerConfig(max_iterations_cap=2)
    answer = asyncio.run(send(service(), "GET", "/v1/models", config)).json()
    cards = {card["id"]: card for card in answer["data"]}
    assert len(cards) == 3 * 5
    assert "parent" not in cards["scripted"]
    assert cards["poet:refine-2"]["parent"] == cards["self-critic"]["parent"] == "scripted"
    assert (cards["poet"]["max_iterations"], cards["self-critic"]["max_iterations"]) == (1, 2)
    found = asyncio.run(send(service(), "GET", "/v1/models/poet:direct", config)).json()
    assert found["root"] == "poet"


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("scripted", [None, None, None]),
        ("poet", ["poet", "poet", "poet"]),
        ("poet:direct", ["poet"]),
        ("self-critic:refine-1", [None, "critic", "critic"]),
        ("self-critic:direct", [None]),
    ],
)
def test_a_chat_is_answered_by_the_adapters_of_the_name_it_asks(name: str, seen: list[Any]) -> None:
    served = service()
    answer = ask(served, "/v1/chat/completions", model=name, messages=CHAT).json()
    assert answer["model"] == name.partition(":")[0]
    assert adapters_of(served) == seen


def test_so_are_refine_feedback_and_completions() -> None:
    served = service()
    answer = ask(served, "/v1/refine", model="self-critic", prompt="Hi", max_iterations=1).json()
    assert (answer["model"], adapters_of(served)) == ("self-critic", [None, "critic", "critic"])
    served = service(feedback(4))
    answer = ask(served, "/v1/feedback", model="poet", prompt="Hi", response="Lyon").json()
    assert (answer["model"], adapters_of(served)) == ("poet", ["poet"])
    served = service("on")
    answer = ask(served, "/v1/completions", model="poet", prompt="Hi").json()
    assert (answer["model"], adapters_of(served)) == ("poet", ["poet"])


def test_a_name_that_is_not_served_is_refused_with_those_that_are() -> None:
    answer = ask(service(), "/v1/chat/completions", model="critic", messages=CHAT)
    assert answer.status_code == 404
    assert "poet, poet:direct" in answer.json()["error"]["message"]


def test_errors_name_the_model_that_was_asked() -> None:
    body = {"messages": CHAT, "cache_salt": "mine"}
    message = ask(service(), "/v1/chat/completions", model="poet", **body).json()["error"]
    assert "ask poet:direct" in message["message"]


def test_direct_mode_asks_for_whatever_writes_the_drafts() -> None:
    asked: list[str] = []

    async def layer(scope: Any, receive: Any, send: Any) -> None:
        asked.append((await receive())["body"].decode())
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    engine = ScriptedEngine()
    named = {"poet": PhaseAdapters.all("poet"), "self-critic": PhaseAdapters(None, "c", "c")}
    others = tuple(
        ServedModel(engine, None, layer, served_name=name, adapters=named[name]) for name in named
    )
    served = Service(ServedModel(engine, direct=layer), others=others)
    for name in named:
        ask(served, "/v1/chat/completions", model=f"{name}:direct", messages=CHAT, n=2)
    assert [body.partition('"model": "')[2].partition('"')[0] for body in asked] == [
        "poet",
        "scripted",
    ]


@pytest.mark.parametrize("tokens", [True, False])
def test_an_upstream_is_asked_for_an_adapter_by_its_name(tokens: bool) -> None:
    scene = Scene("Lyon", feedback(3), "Paris", vllm=tokens)

    async def through(url: str) -> httpx.Response:
        engine = await HttpEngine.connect(Upstream(url))
        try:
            critic = PhaseAdapters(None, "critic", "critic")
            model = ServedModel(engine, None, engine.direct, served_name="mine", adapters=critic)
            body = {"model": "mine", "messages": CHAT}
            return await send(Service(model), "POST", "/v1/chat/completions", json=body)
        finally:
            await engine.close()

    with serving(scene.app()) as served:
        assert asyncio.run(through(served.v1)).json()["model"] == "mine"
    models = [asked.body["model"] for asked in scene.completions()]
    assert models == ["upstream-model", "critic", "critic"]
