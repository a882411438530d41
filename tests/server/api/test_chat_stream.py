"""Streamed chat: the order of things on the wire, and what happens when something fails."""

from __future__ import annotations

import json
import socket
from typing import Any

import httpx
import openai
import pytest

from redraft.server.api.schema.answers import ChatCompletionChunk
from redraft.server.engine.base import EngineUnavailable, PromptTooLong
from redraft.server.engine.scripted_engine import Fail, ScriptedEngine
from redraft.server.refine.trace_json import PHASES
from redraft.server.service import Service
from tests.support.asgi import check_shape, post, srt_model
from tests.support.faults import fault
from tests.support.loops import feedback
from tests.support.serving import Pause, answering

PATH = "/v1/chat/completions"
MESSAGES: Any = [{"role": "user", "content": "Capital of France?"}]
LOOP = ("It is Lyon", feedback(3), "It is Paris")
TWICE = (*LOOP, feedback(4), "Paris, certainly")


def body(**more: Any) -> dict[str, Any]:
    return {"messages": MESSAGES, "stream": True, **more}


def events(text: str) -> list[Any]:
    """What the data lines say; the last is "[DONE]"."""
    blocks = [block for block in text.split("\n\n") if block and not block.startswith(":")]
    assert all(block.startswith("data: ") for block in blocks)
    data = [block.removeprefix("data: ") for block in blocks]
    assert data[-1] == "[DONE]"
    return [json.loads(each) for each in data[:-1]]


def stream(*script: Any, **more: Any) -> list[dict[str, Any]]:
    answer = post(PATH, body(**more), *script)
    assert answer.status_code == 200, answer.text
    chunks = events(answer.text)
    for chunk in chunks:
        check_shape(chunk, ChatCompletionChunk)
    return chunks


def deltas(chunks: list[dict[str, Any]], field: str) -> list[str]:
    texts = [chunk["choices"][0]["delta"].get(field) for chunk in chunks if chunk["choices"]]
    return [text for text in texts if text]


def test_the_role_comes_first_and_every_chunk_has_the_same_head() -> None:
    chunks = stream(*LOOP)
    first = chunks[0]["choices"][0]["delta"]
    assert first == {"role": "assistant", "content": "", "refusal": None}
    heads = {(c["id"], c["created"], c["model"], c["object"]) for c in chunks}
    assert len(heads) == 1
    assert chunks[0]["id"].startswith("chatcmpl-")


def test_it_is_told_in_pieces_while_it_is_written() -> None:
    chunks = stream(*LOOP)
    assert deltas(chunks, "content") == ["It", " is", " Paris"]
    assert deltas(chunks, "reasoning")[:3] == ["**Draft**\n\nIt", " is", " Lyon"]
    assert deltas(chunks, "reasoning") == deltas(chunks, "reasoning_content")


@pytest.mark.parametrize(
    "refine",
    [{}, {"max_iterations": 2}, {"max_iterations": 2, "keep": "best"}, {"good_enough": 3}],
)
def test_all_reasoning_comes_before_all_content(refine: dict[str, Any]) -> None:
    chunks = stream(*TWICE, feedback(1), refine=refine)
    kinds = ["".join(c["choices"][0]["delta"]) for c in chunks[1:-1]]
    assert kinds == sorted(kinds, key=lambda kind: kind == "content")


@pytest.mark.parametrize(
    ("refine", "script"),
    [
        ({}, LOOP),
        ({"good_enough": 3}, LOOP),
        ({"max_iterations": 2}, TWICE),
        ({"max_iterations": 1, "keep": "best"}, ("Paris", feedback(9), "Lyon", feedback(1))),
        ({"max_iterations": 0}, ("Paris",)),
        ({"feedback": "No."}, ("Lyon", "Paris")),
        ({}, ("Lyon", Fail(EngineUnavailable("gone"), "Weak"))),
    ],
)
def test_streamed_or_not_the_answer_is_the_same(refine: dict[str, Any], script: Any) -> None:
    chunks = stream(*script, refine=refine, stream_options={"include_usage": True})
    whole = post(PATH, {"messages": MESSAGES, "refine": refine}, *script).json()
    message = whole["choices"][0]["message"]
    assert "".join(deltas(chunks, "content")) == message["content"]
    if "failure" not in whole["refine"]:  # text of a phase that failed was streamed already
        assert "".join(deltas(chunks, "reasoning")) == message.get("reasoning", "")
    assert chunks[-1]["usage"] == whole["usage"]
    for outcome in (chunks[-2]["refine"], whole["refine"]):
        for phase in outcome["usage"].keys() & PHASES:
            del outcome["usage"][phase]["seconds"]
    assert chunks[-2]["refine"] == whole["refine"]


def test_a_draft_that_is_kept_comes_as_one_piece() -> None:
    assert deltas(stream("It is Paris", feedback(9), refine={"good_enough": 9}), "content") == [
        "It is Paris"
    ]


def test_the_last_chunk_says_how_it_ended() -> None:
    chunks = stream(*LOOP, refine={"trace": True})
    ends = [c["choices"][0]["finish_reason"] for c in chunks]
    assert ends == [None] * (len(chunks) - 1) + ["stop"]
    assert chunks[-1]["refine"]["stop_reason"] == "max_iterations"
    assert chunks[-1]["refine"]["trace"]["kept"] == 1


def test_deltas_say_which_phase_they_belong_to() -> None:
    marks: list[Any] = [c.get("refine") for c in stream(*LOOP)][1:-1]
    phases = list(dict.fromkeys((at["phase"], at["iteration"]) for at in marks))
    assert phases == [("draft", 0), ("feedback", 1), ("refinement", 1)]


def test_usage_comes_only_when_asked_for() -> None:
    assert not any("usage" in chunk for chunk in stream(*LOOP))
    last = stream(*LOOP, stream_options={"include_usage": True})[-1]
    assert last["choices"] == []
    assert last["usage"]["completion_tokens_details"]["reasoning_tokens"] > 0


def test_reasoning_can_be_left_out() -> None:
    chunks = stream(*LOOP, include_reasoning=False)
    assert deltas(chunks, "reasoning") == []
    assert "".join(deltas(chunks, "content")) == "It is Paris"


def test_the_headers_keep_proxies_from_holding_it_back() -> None:
    headers = post(PATH, body(), *LOOP).headers
    assert headers["content-type"] == "text/event-stream; charset=utf-8"
    assert headers["cache-control"] == "no-cache"
    assert headers["x-accel-buffering"] == "no"


def test_the_stock_client_puts_it_together() -> None:
    with answering(ScriptedEngine(*LOOP, *LOOP)) as served:
        client = openai.OpenAI(base_url=served.v1, api_key="none")
        with client.chat.completions.stream(model="scripted", messages=MESSAGES) as stream:
            for _ in stream:
                pass
        message = stream.get_final_completion().choices[0].message
        pieces = client.chat.completions.create(model="scripted", messages=MESSAGES, stream=True)
        content = "".join(piece.choices[0].delta.content or "" for piece in pieces)
    assert message.content == content == "It is Paris"
    assert message.model_extra is not None
    assert message.model_extra["reasoning"].startswith("**Draft**\n\nIt is Lyon")


def test_reasoning_can_be_part_of_the_content() -> None:
    with answering(ScriptedEngine(*LOOP), reasoning_field="inline_think") as served:
        chunks = events(httpx.post(served.url + PATH, json=body(), timeout=60).text)
    content = "".join(deltas(chunks, "content"))
    assert content.startswith("<think>\n**Draft**\n\nIt is Lyon")
    assert content.endswith("\n</think>\n\nIt is Paris")


def test_what_fails_before_the_first_token_has_a_status_of_its_own() -> None:
    answer = post(PATH, body(), Fail(PromptTooLong("too long")))
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "context_length_exceeded"


def test_what_fails_later_is_an_event_that_clients_raise_on() -> None:
    broken = Fail(EngineUnavailable("the engine is gone"), "It is")
    with answering(ScriptedEngine(broken, broken)) as served:
        raw = httpx.post(served.url + PATH, json=body(), timeout=60)
        client = openai.OpenAI(base_url=served.v1, api_key="none", max_retries=0)
        pieces = client.chat.completions.create(model="scripted", messages=MESSAGES, stream=True)
        with pytest.raises(openai.APIError) as raised:
            list(pieces)
    assert raw.status_code == 200
    assert events(raw.text)[-1] == {
        "error": {
            "message": "the engine is gone",
            "type": "server_error",
            "param": None,
            "code": "engine_unavailable",
        }
    }
    assert raised.value.code == "engine_unavailable"


def test_silence_is_broken_by_comments() -> None:
    pause = Pause("draft-0", 0)
    engine = ScriptedEngine(*LOOP, gate=pause)
    with (
        answering(engine, keep_alive_s=0.05) as served,
        httpx.stream("POST", served.url + PATH, json=body(), timeout=60) as answer,
    ):
        pieces = answer.iter_text()
        assert next(pieces).startswith(": keep-alive\n\n")
        pause.release(served)
        rest = "".join(pieces)
    assert "".join(deltas(events(rest), "content")) == "It is Paris"


def test_a_late_failure_after_a_comment_is_still_told() -> None:
    pause = Pause("draft-0", 0)
    engine = ScriptedEngine(Fail(EngineUnavailable("gone"), "It"), gate=pause)
    with (
        answering(engine, keep_alive_s=0.05) as served,
        httpx.stream("POST", served.url + PATH, json=body(), timeout=60) as answer,
    ):
        pieces = answer.iter_text()
        next(pieces)
        pause.release(served)
        assert events("".join(pieces))[-1]["error"]["code"] == "engine_unavailable"


@fault(
    "Clients",
    "A reader takes nothing for `--stall-s`",
    sees="a broken connection",
    lost="the rest of its answer",
    recovers="ends the engine's work for it",
)
def test_a_reader_who_takes_nothing_is_let_go() -> None:
    engine = ScriptedEngine(reply=lambda prompt, sampling: "word " * 50 + "x" * 5000, window=10**9)
    endless = body(ignore_eos=True, model="scripted:direct", max_tokens=10**8)
    content = json.dumps(endless).encode()
    with answering(engine, stall_s=0.2) as served, socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.connect(("127.0.0.1", served.port))
        head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        reader.sendall(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
        served.until(lambda: bool(engine.history) and engine.running == 0)


def test_draining_ends_a_stream_with_the_best_so_far() -> None:
    pause = Pause("feedback-1")
    service = Service(srt_model(engine := ScriptedEngine(*LOOP, gate=pause)))
    with (
        answering(engine, service) as served,
        httpx.stream("POST", served.url + PATH, json=body(), timeout=60) as answer,
    ):
        pause.wait_reached()
        served.call(service.drain(0.01))
        chunks = events("".join(answer.iter_text()))
    assert "".join(deltas(chunks, "content")) == "It is Lyon"
    assert chunks[-1]["refine"]["stop_reason"] == "draining"
