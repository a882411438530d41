"""Log probabilities belong to the answer that was kept, streamed or not."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from redraft.server.api.logprobs import of_text
from redraft.server.api.schema.answers import ChatCompletion, ChatCompletionChunk, TextCompletion
from redraft.server.engine.scripted_engine import ScriptedEngine
from redraft.server.refine.spelled import Spelled
from tests.server.api.test_chat_stream import events
from tests.support.asgi import check_shape, post
from tests.support.loops import feedback
from tests.support.serving import answering

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
MESSAGES: Any = [{"role": "user", "content": "Capital of France?"}]
LOOP = ("It is Lyon", feedback(3), "It is Paris, surely")
KEPT = ("It is Paris", feedback(8), "It is Lyon", feedback(2))
LAST: dict[str, Any] = {}
BEST = {"keep": "best", "good_enough": 10}
KINDS = [(LOOP, LAST, "It is Paris, surely"), (KEPT, BEST, "It is Paris")]


def chat(*script: str, **body: Any) -> Any:
    answer = post(CHAT, {"messages": MESSAGES, "logprobs": True, **body}, *script)
    assert answer.status_code == 200, answer.text
    return answer


def text(*script: str, **body: Any) -> Any:
    answer = post(COMPLETIONS, {"prompt": "Capital?", "logprobs": 1, **body}, *script)
    assert answer.status_code == 200, answer.text
    return answer


@pytest.mark.parametrize(("script", "refine", "kept"), KINDS)
def test_a_chat_has_an_entry_for_each_token_of_the_answer(
    script: tuple[str, ...], refine: dict[str, Any], kept: str
) -> None:
    answer = chat(*script, refine=refine).json()
    check_shape(answer, ChatCompletion)
    (choice,) = answer["choices"]
    assert choice["message"]["content"] == kept
    assert "".join(entry["token"] for entry in choice["logprobs"]["content"]) == kept
    assert choice["logprobs"]["refusal"] is None


@pytest.mark.parametrize(("script", "refine", "kept"), KINDS)
def test_a_streamed_chat_has_them_beside_the_content(
    script: tuple[str, ...], refine: dict[str, Any], kept: str
) -> None:
    told = ""
    for chunk in events(chat(*script, refine=refine, stream=True).text):
        check_shape(chunk, ChatCompletionChunk)
        (choice,) = chunk["choices"]
        entries = (choice["logprobs"] or {"content": []})["content"]
        spelled = "".join(entry["token"] for entry in entries)
        assert spelled == (choice["delta"].get("content") or "")
        told += spelled
    assert told == kept


@pytest.mark.parametrize(("script", "refine", "kept"), KINDS)
@pytest.mark.parametrize("stream", [False, True])
def test_a_completion_has_them_in_its_own_form(
    script: tuple[str, ...], refine: dict[str, Any], kept: str, stream: bool
) -> None:
    answer = text(*script, refine=refine, stream=stream)
    completions = events(answer.text) if stream else [answer.json()]
    written = ""
    for completion in completions:
        check_shape(completion, TextCompletion)
        (choice,) = completion["choices"]
        if told := choice["logprobs"]:
            assert "".join(told["tokens"]) == choice["text"]
            assert len(told["token_logprobs"]) == len(told["tokens"]) == len(told["top_logprobs"])
            places = zip(told["text_offset"], told["tokens"], strict=True)
            assert all(kept[at:].startswith(token) for at, token in places)
        written += choice["text"]
    assert written == kept


def test_without_asking_there_are_none() -> None:
    answer = post(CHAT, {"messages": MESSAGES, "logprobs": False}, *LOOP).json()
    assert answer["choices"][0]["logprobs"] is None


def test_feedback_is_written_without() -> None:
    engine = ScriptedEngine(*LOOP)
    with answering(engine) as served:
        client = openai.OpenAI(base_url=served.v1, api_key="none")
        completion = client.chat.completions.create(
            model="scripted", messages=MESSAGES, logprobs=True, top_logprobs=2
        )
    logprobs = completion.choices[0].logprobs
    assert logprobs and logprobs.content
    assert [call.sampling.logprobs for call in engine.history] == [2, None, 2]


def test_alternatives_need_log_probabilities() -> None:
    answer = post(CHAT, {"messages": MESSAGES, "top_logprobs": 2}, *LOOP)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "top_logprobs")


def test_the_alternatives_of_a_completion_are_by_token() -> None:
    tops = [{"token": " a", "logprob": -1.0}, {"token": " b", "logprob": -2.0}]
    entries = [
        {"token": " a", "logprob": -1.0, "top_logprobs": tops},
        {"token": " c", "logprob": -3.0, "top_logprobs": []},
    ]
    assert of_text(entries, 5) == {
        "tokens": [" a", " c"],
        "token_logprobs": [-1.0, -3.0],
        "top_logprobs": [{" a": -1.0, " b": -2.0}, {}],
        "text_offset": [5, 7],
    }


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["scripted", "scripted:direct"])
@pytest.mark.parametrize("stop", ["Lyon", "Ly", "yon, really"])
def test_they_end_with_the_text_where_a_stop_string_cuts_it(
    stop: str, model: str, stream: bool
) -> None:
    script = ("Paris or Lyon, really", feedback(9), "x")
    answer = chat(*script, model=model, stop=[stop], stream=stream, refine={"good_enough": 8})
    text, entries = "", []
    for chunk in events(answer.text) if stream else [answer.json()]:
        (choice,) = chunk["choices"]
        text += (choice["delta"] if stream else choice["message"]).get("content") or ""
        entries += (choice["logprobs"] or {"content": []})["content"]
    assert text == "Paris or Lyon, really".partition(stop)[0]
    assert "".join(entry["token"] for entry in entries) == text
    assert b"".join(bytes(entry["bytes"]) for entry in entries) == text.encode()


def test_entries_that_spell_something_else_are_left_as_they_are() -> None:
    spelled = Spelled()
    halves = [{"token": "\ufffd", "bytes": [1]}, {"token": "\ufffd", "bytes": [2]}]
    assert spelled.add("", halves[:1]) == ()
    assert spelled.add("\N{SNOWMAN}", halves[1:]) == tuple(halves)
    assert spelled.add("!", [{"token": "!"}]) == ({"token": "!"},)
    assert spelled.rest() == ()
