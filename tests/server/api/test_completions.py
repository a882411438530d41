"""POST /v1/completions: text is continued; or answered as an instruction, when refinement is
asked for."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import openai
import pytest

from redraft.server.api.schema.answers import TextCompletion
from redraft.server.engine.base import EngineUnavailable, PromptTooLong, Tokens
from redraft.server.engine.scripted_engine import Fail, ScriptedEngine
from redraft.server.model import ServedModel
from redraft.server.service import Service
from tests.support.asgi import check_shape, post, send, srt_model
from tests.support.loops import feedback
from tests.support.serving import Pause, answering

PATH = "/v1/completions"
LOOP = ("It is Lyon", feedback(3), "It is Paris")


def completion(*script: Any, **body: Any) -> dict[str, Any]:
    answer = post(PATH, {"prompt": "The capital is", **body}, *script)
    assert answer.status_code == 200, answer.text
    result: dict[str, Any] = answer.json()
    check_shape(result, TextCompletion)
    return result


def chunks(*script: Any, **body: Any) -> list[dict[str, Any]]:
    answer = post(PATH, {"prompt": "The capital is", "stream": True, **body}, *script)
    assert answer.status_code == 200, answer.text
    result = [line.removeprefix("data: ") for line in answer.text.split("\n\n") if line]
    assert result[-1] == "[DONE]"
    pieces = [json.loads(each) for each in result[:-1]]
    for piece in pieces:
        if "error" not in piece:
            check_shape(piece, TextCompletion)
    return pieces


def test_a_text_is_continued_as_it_stands() -> None:
    engine = ScriptedEngine(" Paris")
    body = {"prompt": "The capital is"}
    result = asyncio.run(send(Service(srt_model(engine)), "POST", PATH, json=body)).json()
    assert result["choices"][0]["text"] == " Paris"
    assert engine.history[0].text == "The capital is"  # no chat around it
    assert result["object"] == "text_completion"
    assert result["id"].startswith("cmpl-")


def test_without_a_length_it_is_openais() -> None:
    result = completion(" word" * 40)
    assert result["usage"]["completion_tokens"] == 16
    assert result["choices"][0]["finish_reason"] == "length"
    assert completion(" word" * 40, max_tokens=20)["usage"]["completion_tokens"] == 20


@pytest.mark.parametrize("prompt", [[1500, 1600], [[1500, 1600]]])
def test_token_ids_are_continued_as_they_stand(prompt: Any) -> None:
    engine = ScriptedEngine(" Paris")
    asyncio.run(send(Service(srt_model(engine)), "POST", PATH, json={"prompt": prompt}))
    assert engine.history[0].prompt == Tokens((1500, 1600))


@pytest.mark.parametrize(
    "body",
    [
        {"refine": {}},
        {"refine": {"max_iterations": 1}},
        {"model": "scripted:refine"},
        {"model": "scripted:refine-1"},
        {"reasoning_effort": "low"},
        {"prompt": ["Capital of France?"], "refine": {}},
    ],
)
def test_asked_to_refine_the_prompt_is_an_instruction(body: dict[str, Any]) -> None:
    result = completion(*LOOP, **body)
    assert result["choices"][0]["text"] == "It is Paris"
    assert result["refine"]["iterations"] == 1


@pytest.mark.parametrize(
    "body",
    [{}, {"model": "scripted"}, {"model": "scripted:direct"}, {"refine": {"max_iterations": 0}}],
)
def test_otherwise_nothing_is_refined(body: dict[str, Any]) -> None:
    assert completion("It is Lyon", **body)["refine"]["iterations"] == 0


def test_it_streams_the_continuation_as_it_is_written() -> None:
    result = chunks(" It is Paris", stream_options={"include_usage": True})
    assert [c["choices"][0]["text"] for c in result[:-1]] == [" It", " is", " Paris", ""]
    assert result[-2]["choices"][0]["finish_reason"] == "stop"
    assert result[-1]["choices"] == []
    assert result[-1]["usage"]["completion_tokens"] == 4
    assert len({c["id"] for c in result}) == 1


def test_refined_it_streams_the_answer_alone() -> None:
    result = chunks(*LOOP, refine={})
    assert "".join(c["choices"][0]["text"] for c in result) == "It is Paris"
    kept = chunks("Paris", feedback(9), refine={"good_enough": 9})
    assert [c["choices"][0]["text"] for c in kept] == ["Paris"]
    assert kept[0]["choices"][0]["finish_reason"] == "stop"


def test_a_failure_in_the_middle_ends_the_stream_with_an_error() -> None:
    result = chunks(Fail(EngineUnavailable("gone"), " It is"))
    assert result[-1]["error"]["code"] == "engine_unavailable"


def test_a_prompt_found_too_long_after_a_comment_is_still_named_after_its_field() -> None:
    pause = Pause("draft-0", 0)
    engine = ScriptedEngine(Fail(PromptTooLong("too long"), " It"), gate=pause)
    body = {"prompt": "The capital is", "stream": True}
    with (
        answering(engine, keep_alive_s=0.05) as served,
        httpx.stream("POST", served.url + PATH, json=body, timeout=60) as answer,
    ):
        pieces = answer.iter_text()
        assert next(pieces).startswith(": keep-alive")
        pause.release(served)
        last = "".join(pieces).split("data: ")[-2]
    assert json.loads(last)["error"]["param"] == "prompt"


def test_an_engine_that_only_chats_says_so() -> None:
    service = Service(ServedModel(ScriptedEngine("x", has_tokens=False)))
    answer = asyncio.run(send(service, "POST", PATH, json={"prompt": "Hi"}))
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "prompt"


def test_the_stock_client_reads_both() -> None:
    with answering(ScriptedEngine(" It is Paris", " It is Paris")) as served:
        client = openai.OpenAI(base_url=served.v1, api_key="none")
        whole = client.completions.create(model="scripted", prompt="The capital?")
        pieces = client.completions.create(model="scripted", prompt="The capital?", stream=True)
        assert whole.choices[0].text == "".join(p.choices[0].text for p in pieces) == " It is Paris"
