"""Direct mode: what needs more than the loop goes to the engine's own OpenAI layer, and only
then. Admission, metrics, drain and disconnects hold for it, too."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

from redraft.server.admission import Admission
from redraft.server.api import unsupported
from redraft.server.config import Effort, ServerConfig
from redraft.server.engine.scripted_engine import ScriptedEngine, demo_reply
from redraft.server.model import ServedModel
from redraft.server.service import Service
from tests.server.api.test_disconnect import connection
from tests.support.asgi import send
from tests.support.serving import answering

CHAT = "/v1/chat/completions"
MESSAGES: Any = [{"role": "user", "content": "Hi"}]
FUNCTIONS = [{"name": "search", "parameters": {}}]
BODY = {"model": "scripted:direct", "messages": MESSAGES, "functions": FUNCTIONS}


class Layer:
    """An engine's own OpenAI layer: keeps the bodies it gets, answers as it was made to."""

    def __init__(
        self,
        status: int = 200,
        answer: Any = None,
        events: list[str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        self.sent_back = headers
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.status, self.answer, self.events = status, answer or {"choices": []}, events or []
        self.hold = False
        self.reached, self.left = threading.Event(), threading.Event()
        paths = (CHAT, "/v1/completions")
        self.app = Starlette(routes=[Route(path, self._answer, methods=["POST"]) for path in paths])

    async def _answer(self, request: Request) -> Any:
        self.bodies.append(await request.json())
        self.headers.append(dict(request.headers))
        if self.events:
            return StreamingResponse(self._events(), media_type="text/event-stream")
        await self._wait()
        return JSONResponse(self.answer, self.status, self.sent_back)

    async def _events(self) -> Any:
        for event in self.events:
            yield f"data: {event}\n\n"
        await self._wait()

    async def _wait(self) -> None:
        self.reached.set()
        try:
            if self.hold:
                await asyncio.get_running_loop().create_future()
        finally:
            self.left.set()


def serve(layer: Layer | None, **parts: Any) -> Service:
    engine = ScriptedEngine(reply=demo_reply)
    return Service(ServedModel(engine, direct=layer and layer.app), **parts)


def ask(layer: Layer | None, body: Any, path: str = CHAT, **more: Any) -> httpx.Response:
    return asyncio.run(send(serve(layer), "POST", path, json=body, **more))


def test_the_request_goes_on_under_the_models_own_name_without_our_fields() -> None:
    layer = Layer()
    body = {**BODY, "reasoning_effort": "none", "refine": {"max_iterations": 0}, "top_k": 5}
    headers = {"Authorization": "Bearer secret", "X-Request-Id": "twice"}
    assert ask(layer, body, headers=headers).json() == {"choices": []}
    theirs = {"messages": MESSAGES, "functions": FUNCTIONS, "top_k": 5}
    assert layer.bodies == [{"model": "scripted", **theirs}]
    assert not {"authorization", "x-request-id"} & layer.headers[0].keys()


def test_simple_requests_do_not_need_the_layer() -> None:
    layer = Layer()
    assert ask(layer, {"model": "scripted:direct", "messages": MESSAGES}).status_code == 200
    assert layer.bodies == []


DIRECT_FIELDS: list[tuple[dict[str, Any], str]] = [
    ({"functions": [{}]}, "functions"),
    ({"continue_final_message": True}, "continue_final_message"),
    ({"cache_salt": "mine"}, "cache_salt"),
    ({"skip_special_tokens": False}, "skip_special_tokens"),
    ({"response_format": {"type": "structural_tag"}}, "response_format.type"),
    ({"messages": [{"role": "function", "name": "f", "content": "x"}]}, "messages[0].role"),
]


@pytest.mark.parametrize(("fields", "param"), DIRECT_FIELDS, ids=[p for _, p in DIRECT_FIELDS])
def test_with_refinement_it_is_refused_and_the_way_out_is_named(
    fields: dict[str, Any], param: str
) -> None:
    layer = Layer()
    answer = ask(layer, {"messages": MESSAGES, **fields})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["param"], error["code"]) == (param, "unsupported_with_refinement")
    assert "scripted:direct" in error["message"]
    assert layer.bodies == []


@pytest.mark.parametrize(("fields", "param"), DIRECT_FIELDS, ids=[p for _, p in DIRECT_FIELDS])
def test_without_refinement_the_layer_does_it(fields: dict[str, Any], param: str) -> None:
    layer = Layer()
    answer = ask(layer, {"model": "scripted:direct", "messages": MESSAGES, **fields})
    assert answer.status_code == 200
    assert len(layer.bodies) == 1


@pytest.mark.parametrize(("fields", "param"), DIRECT_FIELDS, ids=[p for _, p in DIRECT_FIELDS])
def test_an_engine_without_such_a_layer_says_so(fields: dict[str, Any], param: str) -> None:
    answer = ask(None, {"model": "scripted:direct", "messages": MESSAGES, **fields})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param


@pytest.mark.parametrize("model", ["scripted", "scripted:direct"])
@pytest.mark.parametrize(
    "fields",
    [
        {"audio": {"voice": "x"}},
        {"modalities": ["text", "audio"]},
        {"web_search_options": {}},
        {"guided_json": {"type": "object"}},
        {"guided_regex": "a+"},
    ],
)
def test_what_nothing_here_can_do_is_refused_in_every_mode(
    model: str, fields: dict[str, Any]
) -> None:
    answer = ask(Layer(), {"model": model, "messages": MESSAGES, **fields})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == next(iter(fields))


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 1},
        {"tools": []},
        {"tools": None},
        {"tool_choice": "none"},
        {"parallel_tool_calls": True},
        {"logprobs": False},
        {"top_logprobs": 0},
        {"modalities": ["text"]},
        {"verbosity": "medium"},
        {"logit_bias": {}},
        {"stop": None},
        {"metadata": {"a": "b"}, "store": True, "user": "me", "service_tier": "auto"},
        {"prompt_cache_key": "x", "safety_identifier": "y"},
        {"stream": False, "stream_options": None},
        {"add_generation_prompt": True, "skip_special_tokens": True, "length_penalty": 1.0},
    ],
)
def test_what_asks_for_nothing_is_no_reason_to_refuse(fields: dict[str, Any]) -> None:
    assert ask(None, {"messages": MESSAGES, **fields}).status_code == 200


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"echo": True}, "echo"),
        ({"suffix": "."}, "suffix"),
        ({"best_of": 2}, "best_of"),
        ({"prompt": ["a", "b"]}, "prompt"),
    ],
)
def test_completions_have_fields_of_their_own(fields: dict[str, Any], param: str) -> None:
    layer = Layer()
    assert ask(layer, {"prompt": "Hi", **fields}, "/v1/completions").status_code == 200
    assert len(layer.bodies) == 1
    answer = ask(layer, {"prompt": "Hi", "refine": {}, **fields}, "/v1/completions")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_the_layer_knows_best_how_a_text_begins() -> None:
    layer = Layer()
    ask(layer, {"prompt": "Hi"}, "/v1/completions")
    assert len(layer.bodies) == 1
    ask(layer, {"prompt": [1, 2]}, "/v1/completions")  # these need no beginning
    assert len(layer.bodies) == 1


def test_errors_of_the_layer_come_in_our_form() -> None:
    theirs = {"error": {"message": "no", "type": "BadRequestError", "param": "tools", "code": 400}}
    answer = ask(Layer(400, theirs), BODY)
    assert answer.status_code == 400
    assert answer.json()["error"] == {
        "message": "no",
        "type": "invalid_request_error",
        "param": "tools",
        "code": "invalid_value",
    }
    assert ask(Layer(500, "broken"), BODY).json()["error"]["code"] == "upstream_error"


def test_the_layer_says_when_to_come_back() -> None:
    answer = ask(Layer(429, {"error": {"message": "busy"}}, headers={"Retry-After": "7"}), BODY)
    assert answer.json()["error"]["type"] == "rate_limit_error"
    assert answer.headers["retry-after"] == "7"


def test_it_streams() -> None:
    layer = Layer(events=['{"choices": []}', "[DONE]"])
    answer = ask(layer, {**BODY, "stream": True})
    assert answer.text == 'data: {"choices": []}\n\ndata: [DONE]\n\n'
    assert answer.headers["x-accel-buffering"] == "no"


def test_an_error_within_its_stream_comes_in_our_form() -> None:
    theirs = '{"error": {"message": "gone", "type": "InternalServerError", "code": 500}}'
    answer = ask(Layer(events=["{}", theirs, "[DONE]"]), {**BODY, "stream": True})
    event = json.loads(answer.text.split("\n\n")[1].removeprefix("data: "))
    assert event["error"] == {
        "message": "gone",
        "type": "server_error",
        "param": None,
        "code": "upstream_error",
    }


@pytest.mark.parametrize("stream", [False, True])
def test_a_layer_that_breaks_is_no_silence(stream: bool) -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("a bug of theirs")

    async def mute(scope: Any, receive: Any, send: Any) -> None:
        return

    for app in (broken, mute):
        service = Service(ServedModel(ScriptedEngine(), direct=app))
        answer = asyncio.run(send(service, "POST", CHAT, json={**BODY, "stream": stream}))
        assert answer.status_code == 500
        assert answer.json()["error"]["code"] == "internal_error"


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_ends_the_work(stream: bool) -> None:
    layer = Layer(events=["{}"] if stream else None)
    layer.hold = True
    service = serve(layer)
    with answering(ScriptedEngine(), service) as served:
        with connection(served, CHAT, {**BODY, "stream": stream}):
            assert layer.reached.wait(60)
        assert layer.left.wait(60)
        served.until(lambda: service.running == 0)


def test_a_layer_that_works_in_tasks_of_its_own_is_told_that_the_client_left() -> None:
    reached, left = threading.Event(), threading.Event()

    async def work() -> None:
        reached.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            left.set()

    async def gone(receive: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    async def layer(scope: Any, receive: Any, send: Any) -> None:
        both = {asyncio.create_task(work()), asyncio.create_task(gone(receive))}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        for task in both:
            task.cancel()

    service = Service(ServedModel(ScriptedEngine(), direct=layer))
    with answering(ScriptedEngine(), service) as served:
        with connection(served, CHAT, BODY):
            assert reached.wait(60)
        assert left.wait(60)


@pytest.mark.parametrize("stream", [False, True])
def test_it_takes_a_place_and_a_drain_ends_it(stream: bool) -> None:
    layer = Layer(events=["{}"] if stream else None)
    layer.hold = True
    service = serve(layer, admission=Admission(ServerConfig(max_loops=1, max_queue=0)))
    responses: list[httpx.Response] = []
    with answering(ScriptedEngine(), service) as served:

        def first() -> None:
            body = {**BODY, "stream": stream}
            responses.append(httpx.post(served.url + CHAT, json=body, timeout=60))

        asking = threading.Thread(target=first)
        asking.start()
        assert layer.reached.wait(60)
        assert httpx.post(served.url + CHAT, json=BODY, timeout=60).status_code == 429
        served.call(service.drain(0.01))
        asking.join(60)
    assert '"shutting_down"' in responses[0].text
    assert responses[0].status_code == (200 if stream else 503)


def test_the_metrics_count_it() -> None:
    service = serve(Layer())
    line = 'redraft_loops_total{outcome="finished",route="chat"}'

    def count() -> float:
        text = service.metrics.exposition().decode()
        return sum(float(x.split()[-1]) for x in text.splitlines() if x.startswith(line))

    before = count()
    asyncio.run(send(service, "POST", CHAT, json=BODY))
    assert count() == before + 1


def test_no_field_is_done_by_the_layer_and_by_nothing_at_once() -> None:
    assert not unsupported.DIRECT.keys() & unsupported.NOWHERE.keys()


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"reasoning_effort": "high"}, "high"),
        ({"reasoning": {"effort": "low"}}, "low"),
        ({"reasoning": {"enabled": False}}, "none"),
        ({}, None),
    ],
)
@pytest.mark.parametrize("effort", ["refine", "think", "both"])
def test_the_effort_reaches_the_engine_where_it_is_about_thinking(
    effort: Effort, asked: dict[str, Any], told: str | None
) -> None:
    layer = Layer()
    config = ServerConfig(effort=effort)
    body = {**BODY, **asked, "refine": {"max_iterations": 0}}
    answer = asyncio.run(send(serve(layer), "POST", CHAT, config, json=body))
    assert answer.status_code == 200, answer.text
    (sent,) = layer.bodies
    assert sent.get("reasoning_effort") == (None if effort == "refine" else told)
    assert "reasoning" not in sent
