"""n answers to one request: each by a loop of its own, none lost for another's failure."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Any

import httpx
import openai
import pytest

from redraft.server.admission import Admission
from redraft.server.api.schema.answers import ChatCompletion, ChatCompletionChunk, TextCompletion
from redraft.server.config import ServerConfig
from redraft.server.engine.base import EngineUnavailable, Sampling
from redraft.server.engine.scripted_engine import Entry, Fail, ScriptedEngine
from redraft.server.model import ServedModel
from redraft.server.refine.policy import Policy
from redraft.server.refine.trace_json import PHASES
from redraft.server.service import Service
from tests.server.api.test_chat_stream import events
from tests.server.api.test_direct import Layer, serve
from tests.server.api.test_disconnect import connection
from tests.support.asgi import check_shape, send
from tests.support.loops import feedback
from tests.support.serving import Pause, answering

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
BODIES: dict[str, dict[str, Any]] = {
    CHAT: {"messages": [{"role": "user", "content": "Capital of France?"}], "seed": 7},
    COMPLETIONS: {"prompt": "Capital of France?", "refine": {}, "seed": 7},
}
SEEDS = {Policy(seed=7 + choice).seed_for("draft", 0, 0, 1): choice for choice in range(8)}
TOWNS = ("Lyon", "Nice", "Lille")


def reply(prompt: str, sampling: Sampling) -> Entry:
    """Drafts differ by their choice, and refinements by their draft."""
    if "### Feedback" not in prompt:
        return f"It is {TOWNS[SEEDS[sampling.seed]]}"
    if "### Improved Response" not in prompt:
        return feedback(3)
    return "Not " + next(town for town in TOWNS if town in prompt)


def failing(*choices: int) -> Any:
    def reply_or_fail(prompt: str, sampling: Sampling) -> Entry:
        if SEEDS.get(sampling.seed) in choices:
            return Fail(EngineUnavailable("gone"))
        return reply(prompt, sampling)

    return reply_or_fail


def ask(path: str, engine: ScriptedEngine | None = None, **body: Any) -> httpx.Response:
    service = Service(ServedModel(engine or ScriptedEngine(reply=reply)))
    return asyncio.run(send(service, "POST", path, json=BODIES[path] | {"n": 3} | body))


def text_of(choice: dict[str, Any]) -> str:
    text: str = choice["message"]["content"] if "message" in choice else choice["text"]
    return text


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
def test_every_choice_is_refined_by_itself(path: str) -> None:
    answer = ask(path).json()
    check_shape(answer, ChatCompletion if path == CHAT else TextCompletion)
    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2]
    assert [text_of(c) for c in answer["choices"]] == [f"Not {town}" for town in TOWNS]
    assert [choice["refine"]["iterations"] for choice in answer["choices"]] == [1, 1, 1]
    assert "refine" not in answer


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
def test_usage_is_that_of_all_choices_together(path: str) -> None:
    one, three = ask(path, n=1).json(), ask(path).json()
    assert three["usage"]["prompt_tokens"] == 3 * one["usage"]["prompt_tokens"]
    assert three["usage"]["completion_tokens"] == 3 * one["usage"]["completion_tokens"]
    usages = [choice["refine"]["usage"] for choice in three["choices"]]
    written = sum(usage[phase]["completion_tokens"] for usage in usages for phase in PHASES)
    assert written == three["usage"]["completion_tokens"]


def test_the_first_choice_is_the_one_that_n_1_would_give() -> None:
    assert text_of(ask(CHAT, n=1).json()["choices"][0]) == text_of(ask(CHAT).json()["choices"][0])


def test_the_loops_share_the_prefix_of_their_prompts() -> None:
    engine = ScriptedEngine(reply=reply)
    ask(CHAT, engine)
    drafts = [call.prompt for call in engine.history if "draft" in call.call.request_id]
    assert drafts == [drafts[0]] * 3


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
def test_streamed_choices_come_side_by_side_each_with_its_end(path: str) -> None:
    answer = ask(path, stream=True, stream_options={"include_usage": True})
    *chunks, last = events(answer.text)
    texts: dict[int, str] = defaultdict(str)
    ends: dict[int, dict[str, Any]] = {}
    for chunk in chunks:
        check_shape(chunk, ChatCompletionChunk if path == CHAT else TextCompletion)
        (choice,) = chunk["choices"]
        texts[choice["index"]] += choice.get("text") or choice.get("delta", {}).get("content") or ""
        if choice["finish_reason"]:
            ends[choice["index"]] = chunk
    assert texts == {index: f"Not {town}" for index, town in enumerate(TOWNS)}
    assert sorted(ends) == [0, 1, 2]
    assert all(end["refine"]["iterations"] == 1 for end in ends.values())
    assert len({chunk["id"] for chunk in [*chunks, last]}) == 1
    assert last["choices"] == []
    assert last["usage"] == ask(path).json()["usage"]


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
def test_a_choice_that_fails_is_left_out_and_told(path: str) -> None:
    answer = ask(path, ScriptedEngine(reply=failing(1)))
    assert [choice["index"] for choice in answer.json()["choices"]] == [0, 2]
    assert answer.headers["redraft-warning"] == "choice 1 of 3 failed and is left out: gone"


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
def test_a_streamed_choice_that_fails_ends_and_says_why(path: str) -> None:
    chunks = events(ask(path, ScriptedEngine(reply=failing(1)), stream=True).text)
    ends = {c["choices"][0]["index"]: c for c in chunks if c["choices"][0]["finish_reason"]}
    assert [ends[index]["choices"][0]["finish_reason"] for index in (0, 1, 2)] == [
        "stop",
        "length",
        "stop",
    ]
    assert ends[1]["refine"]["failure"] == "gone"
    for chunk in chunks:
        check_shape(chunk, ChatCompletionChunk if path == CHAT else TextCompletion)


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
@pytest.mark.parametrize("stream", [False, True])
def test_when_all_fail_the_request_does(path: str, stream: bool) -> None:
    answer = ask(path, ScriptedEngine(reply=failing(0, 1, 2)), stream=stream)
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "engine_unavailable"


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
def test_more_than_the_server_allows_is_refused(path: str) -> None:
    answer = ask(path, n=9)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "n")
    assert "n is 9; this server allows 8 at most" in answer.json()["error"]["message"]


def test_each_choice_takes_a_place() -> None:
    service = Service(
        ServedModel(ScriptedEngine(reply=reply)),
        admission=Admission(ServerConfig(max_loops=1, max_queue=1)),
    )
    answer = asyncio.run(send(service, "POST", CHAT, json=BODIES[CHAT] | {"n": 3}))
    assert [choice["index"] for choice in answer.json()["choices"]] == [0, 1]
    assert "choice 2 of 3 failed" in answer.headers["redraft-warning"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_ends_all_of_them(stream: bool) -> None:
    pause = Pause("feedback-1")
    engine = ScriptedEngine(reply=reply, gate=pause)
    service = Service(ServedModel(engine))
    with answering(engine, service) as served:
        with connection(served, CHAT, BODIES[CHAT] | {"n": 3, "stream": stream}):
            pause.wait_reached()
        pause.wait_left()
        served.until(lambda: service.running == 0 and engine.running == 0)


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
def test_without_refinement_the_engines_own_layer_makes_them(path: str) -> None:
    layer = Layer()
    body = BODIES[path] | {"n": 3, "model": "scripted:direct", "refine": {"max_iterations": 0}}
    assert asyncio.run(send(serve(layer), "POST", path, json=body)).status_code == 200
    assert [sent["n"] for sent in layer.bodies] == [3]


def test_without_such_a_layer_they_are_drafts() -> None:
    answer = ask(CHAT, model="scripted:direct").json()
    assert [text_of(choice) for choice in answer["choices"]] == [f"It is {town}" for town in TOWNS]


def test_the_stock_client_streams_them() -> None:
    engine = ScriptedEngine(reply=reply)
    with answering(engine, Service(ServedModel(engine))) as served:
        client = openai.OpenAI(base_url=served.v1, api_key="none")
        with client.chat.completions.stream(model="scripted", n=3, **BODIES[CHAT]) as stream:
            completion = stream.get_final_completion()
    texts = [choice.message.content for choice in completion.choices]
    assert texts == [f"Not {town}" for town in TOWNS]
