"""GET /v1/models: the names there are, and what each of them does."""

from __future__ import annotations

import asyncio
from typing import Any

import openai
import pytest

from redraft.server.config import ServerConfig
from redraft.server.engine.scripted_engine import ScriptedEngine
from redraft.server.model import ServedModel
from redraft.server.refine.manifest import DefaultPolicy
from redraft.server.service import Service
from tests.support.asgi import send, srt_model
from tests.support.loops import feedback
from tests.support.serving import answering

SETTINGS = ServerConfig(max_iterations_cap=2)


def models(policy: DefaultPolicy | None = None, model: str = "scripted") -> dict[str, int]:
    """Name -> most iterations."""
    service = Service(srt_model(ScriptedEngine(model=model), policy))
    answer = asyncio.run(send(service, "GET", "/v1/models", SETTINGS)).json()
    assert answer["object"] == "list"
    return {each["id"]: each["max_iterations"] for each in answer["data"]}


def test_every_suffix_is_listed() -> None:
    assert models() == {
        "scripted": 1,
        "scripted:direct": 0,
        "scripted:refine": 1,
        "scripted:refine-1": 1,
        "scripted:refine-2": 2,
    }


def test_the_bare_name_and_refine_follow_the_manifest() -> None:
    assert models(DefaultPolicy(max_iterations=2))["scripted:refine"] == 2
    never = models(DefaultPolicy(max_iterations=0))
    assert (never["scripted"], never["scripted:refine"]) == (0, 1)


def test_the_stock_client_lists_and_finds_them() -> None:
    with answering(ScriptedEngine(model="org/model:7b")) as served:
        client = openai.OpenAI(base_url=served.v1, api_key="none")
        for model in client.models.list():
            assert client.models.retrieve(model.id) == model


@pytest.mark.parametrize(
    ("model", "form"),
    [
        (srt_model(ScriptedEngine(constrains="grammar")), "trained"),
        (ServedModel(ScriptedEngine(constrains="grammar")), "grammar"),
        (ServedModel(ScriptedEngine(constrains="json_schema")), "json_schema"),
        (ServedModel(ScriptedEngine()), "free_text"),
    ],
)
def test_a_model_says_what_keeps_its_feedback_readable(model: ServedModel, form: str) -> None:
    answer = asyncio.run(send(Service(model), "GET", "/v1/models", SETTINGS)).json()
    assert {each["feedback_form"] for each in answer["data"]} == {form}


@pytest.mark.parametrize("suffix", ["", ":direct", ":refine", ":refine-2"])
def test_every_listed_name_answers(suffix: str) -> None:
    script = ("a", feedback(3), "b", feedback(4), "c")
    service = Service(srt_model(ScriptedEngine(*script, model="org/model:7b")))
    body: dict[str, Any] = {
        "model": f"org/model:7b{suffix}",
        "messages": [{"role": "user", "content": "Hi"}],
    }
    answer = asyncio.run(send(service, "POST", "/v1/chat/completions", json=body)).json()
    assert answer["model"] == "org/model:7b"
    expected = {"": 1, ":direct": 0, ":refine": 1, ":refine-2": 2}[suffix]
    assert answer["refine"]["iterations"] == expected
