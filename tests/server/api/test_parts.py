"""Images and other parts that are not text go to the engine, and are refined in words."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from redraft.server.engine.base import Chat, EngineRefused
from redraft.server.engine.scripted_engine import Fail, ScriptedEngine
from redraft.server.model import ServedModel
from redraft.server.service import Service
from tests.support.asgi import post, send, srt_model
from tests.support.http_stage import STAGE, connected, stage
from tests.support.loops import feedback
from tests.support.upstream import Refuse, Scene

__all__ = ["stage"]  # a fixture

CHAT = "/v1/chat/completions"
IMAGE: Any = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
SOUND: Any = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
TEXT: Any = {"type": "text", "text": "What is this?"}
MESSAGES: Any = [{"role": "user", "content": [TEXT, IMAGE]}]
LOOP = ("A cat", feedback(3), "A dog")


def seen_by(served: Any, engine: ScriptedEngine, messages: Any, **body: Any) -> list[Any]:
    """The messages of every prompt, as an engine with a chat endpoint sends them on."""
    answer = asyncio.run(send(Service(served), "POST", CHAT, json={"messages": messages, **body}))
    assert answer.status_code == 200, answer.text
    prompts = [call.prompt for call in engine.history]
    return [[m.to_json() for m in p.messages] for p in prompts if isinstance(p, Chat)]


@pytest.mark.parametrize("serve", [ServedModel, srt_model])
def test_draft_feedback_and_refinement_see_the_image(serve: Any) -> None:
    engine = ScriptedEngine(*LOOP)
    draft, judged, refined = seen_by(serve(engine), engine, MESSAGES)
    assert draft == MESSAGES
    words, *media = judged[0]["content"]
    assert media == [IMAGE]
    assert "What is this?\n[image]" in words["text"]
    assert refined[: len(MESSAGES)] == MESSAGES  # the chat of instruction and response goes on
    assert "A cat" in words["text"]


def test_every_part_is_passed_along_in_its_order() -> None:
    engine = ScriptedEngine(*LOOP)
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [SOUND, TEXT]},
        {"role": "assistant", "content": "A bell."},
        {"role": "user", "content": [TEXT, IMAGE]},
    ]
    draft, judged, _ = seen_by(ServedModel(engine), engine, messages)
    assert draft == messages
    words, *media = judged[0]["content"]
    assert media == [SOUND, IMAGE]
    assert "[sound]" in words["text"]


def test_without_refinement_they_need_no_layer_of_their_own() -> None:
    engine = ScriptedEngine("A cat")
    assert seen_by(ServedModel(engine), engine, MESSAGES, model="scripted:direct") == [MESSAGES]


@pytest.mark.parametrize("path", ["/v1/refine", "/v1/feedback"])
def test_our_own_routes_take_them_too(path: str) -> None:
    engine = ScriptedEngine(feedback(3), "A dog")
    body = {"messages": MESSAGES, "response": "A cat"}
    answer = asyncio.run(send(Service(ServedModel(engine)), "POST", path, json=body))
    assert answer.status_code == 200, answer.text
    prompt = engine.history[0].prompt
    assert isinstance(prompt, Chat) and prompt.messages[0].has_media


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", [CHAT, "/v1/refine"])
def test_an_engine_that_does_not_see_is_told_of_with_the_part(path: str, stream: bool) -> None:
    blind = Fail(EngineRefused("this model takes text alone"))
    messages = [{"role": "user", "content": [TEXT, TEXT, IMAGE]}]
    answer = post(path, {"messages": messages, "stream": stream}, blind)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, "messages[0].content[2]")
    assert error["code"] == "unsupported_by_engine"
    assert "is of type 'image_url'" in error["message"]
    assert "this model takes text alone" in error["message"]


def test_a_refusal_of_text_alone_names_no_part() -> None:
    blind = Fail(EngineRefused("no"))
    answer = post(CHAT, {"messages": [{"role": "user", "content": [TEXT]}]}, blind)
    assert answer.json()["error"]["param"] is None


@pytest.mark.parametrize("vllm", [True, False])
def test_an_upstream_gets_them_as_they_came(vllm: bool) -> None:
    async def ask(scene: Scene) -> Any:
        STAGE.app = scene.app()
        async with connected(STAGE.served, window=512) as engine:
            service = Service(ServedModel(engine))
            return await send(service, "POST", CHAT, json={"messages": MESSAGES})

    scene = Scene(*LOOP, vllm=vllm)
    answer = asyncio.run(ask(scene))
    assert answer.json()["choices"][0]["message"]["content"] == "A dog"
    draft, judged, _ = (asked.body["messages"] for asked in scene.completions())
    assert draft == MESSAGES
    assert judged[0]["content"][1:] == [IMAGE]

    refusing = Scene(vllm=vllm)
    refusing.next = [Refuse(400, {"error": {"message": "image input is not supported"}})]
    error = asyncio.run(ask(refusing)).json()["error"]
    assert error["param"] == "messages[0].content[1]"
    assert "the engine refused this chat" in error["message"]
