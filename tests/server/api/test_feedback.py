"""POST /v1/feedback: weaknesses, suggestions and a score for a response, and no more."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from redraft.server.api.schema.answers import FeedbackObject
from redraft.server.config import ServerConfig
from redraft.server.engine.base import EngineUnavailable
from redraft.server.engine.scripted_engine import Fail, ScriptedEngine
from redraft.server.service import Service
from tests.support.asgi import check_shape, post, send, srt_model
from tests.support.loops import feedback

RESPONSE = {"prompt": "Capital of France?", "response": "Lyon."}


def ask(body: dict[str, Any], *script: Any, **more: Any) -> dict[str, Any]:
    answer = post("/v1/feedback", body, *script, **more)
    assert answer.status_code == 200, answer.text
    result: dict[str, Any] = answer.json()
    check_shape(result, FeedbackObject)
    return result


def test_feedback_is_read_into_its_parts() -> None:
    written = feedback(2, "Lyon is not it.", "Name Paris.")
    result = ask(RESPONSE, written)
    assert result["object"] == "feedback"
    assert result["feedback"] == written
    assert (result["weaknesses"], result["suggestions"]) == ("Lyon is not it.", "Name Paris.")
    assert (result["score"], result["model"]) == (2, "scripted")


def test_only_feedback_is_written_and_counted() -> None:
    usage = ask(RESPONSE, feedback(2))["usage"]
    assert list(usage["phases"]) == ["feedback"]
    assert usage["completion_tokens"] == usage["phases"]["feedback"]["completion_tokens"] > 0


def test_the_lowest_score_is_feedback_like_any_other() -> None:
    assert ask(RESPONSE, feedback(1))["score"] == 1


def test_a_chat_is_an_instruction_too() -> None:
    chat = [{"role": "user", "content": "Capital of France?"}]
    assert ask({"messages": chat, "response": "Lyon."}, feedback(2))["score"] == 2


def test_a_critic_can_write_it() -> None:
    critic = ScriptedEngine(feedback(3), name="strong", model="large")
    result = ask({**RESPONSE, "critic": "strong"}, critics={"strong": srt_model(critic)})
    assert (result["score"], result["model"]) == (3, "large")


def test_feedback_that_cannot_be_read_is_asked_for_once_more() -> None:
    assert ask(RESPONSE, "Good.", feedback(7))["score"] == 7


def test_feedback_that_cannot_be_read_twice_is_given_as_it_was_written() -> None:
    result = ask(RESPONSE, "Good.", "Fine.")
    assert (result["feedback"], result["score"], result["weaknesses"]) == ("Fine.", None, "")


def test_its_sampling_can_be_chosen() -> None:
    engine = ScriptedEngine(feedback(2))
    body = {**RESPONSE, "feedback_sampling": {"temperature": 0.3}, "seed": 5}
    asyncio.run(send(Service(srt_model(engine)), "POST", "/v1/feedback", json=body))
    (call,) = engine.history
    assert call.sampling.temperature == 0.3
    assert call.sampling.seed is not None


@pytest.mark.parametrize("default", [0, 3])
def test_how_often_the_server_refines_does_not_matter(default: int) -> None:
    assert ask(RESPONSE, feedback(2), config=ServerConfig(max_iterations=default))["score"] == 2


@pytest.mark.parametrize("model", ["scripted", "scripted:refine", "scripted:refine-3"])
def test_a_name_that_refines_may_be_asked_for_feedback_alone(model: str) -> None:
    assert ask({**RESPONSE, "model": model}, feedback(2))["score"] == 2


def test_a_dead_engine_is_an_error_that_is_not_retried_blindly() -> None:
    answer = post("/v1/feedback", RESPONSE, Fail(EngineUnavailable("gone"), "Half a"))
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "engine_unavailable")
    assert answer.headers["x-should-retry"] == "false"


def test_a_deadline_that_passes_is_an_error() -> None:
    async def test() -> None:
        engine = ScriptedEngine(feedback(2), gate=asyncio.Event())
        body = {**RESPONSE, "deadline_ms": 20}
        answer = await send(Service(srt_model(engine)), "POST", "/v1/feedback", json=body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (504, "deadline_exceeded")
        assert engine.running == 0

    asyncio.run(test())


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"prompt": "Capital of France?"}, "response"),
        ({"response": "Lyon."}, "messages"),
        ({**RESPONSE, "response": ""}, "response"),
        ({**RESPONSE, "messages": [{"role": "user", "content": "a"}]}, "prompt"),
        ({**RESPONSE, "stream": True}, "stream"),
        ({**RESPONSE, "critic": "nobody"}, "critic"),
        ({**RESPONSE, "model": "gpt-5"}, "model"),
        ({**RESPONSE, "model": "scripted:direct"}, "model"),
        ({**RESPONSE, "feedback_sampling": {"temperature": 3}}, "feedback_sampling.temperature"),
        ({**RESPONSE, "response": "word " * 5000}, "prompt"),
    ],
)
def test_a_wrong_request_is_told_which_field_is_wrong(body: dict[str, Any], param: str) -> None:
    answer = post("/v1/feedback", body)
    detail = answer.json()["error"]
    assert answer.status_code in (400, 404), detail
    assert detail["param"] == param, detail


@pytest.mark.parametrize("options", [{}, {"checks": []}, {"deadline_ms": 1}])
def test_an_empty_word_for_who_gives_feedback_is_refused_by_name(options: dict[str, Any]) -> None:
    answer = post("/v1/feedback", {**RESPONSE, "feedback_by": "", **options})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "feedback_by")
