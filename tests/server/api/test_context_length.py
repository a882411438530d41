"""A prompt that does not fit: OpenAI's own words and code, wherever the request goes.
Spans: server/api, server/engine
"""

from __future__ import annotations

import asyncio
from typing import Any

import openai
import pytest

from redraft.server.engine.scripted_engine import ScriptedEngine, demo_reply
from redraft.server.model import ServedModel
from redraft.server.service import Service
from tests.server.api.test_direct import Layer, serve
from tests.support.asgi import send, srt_model
from tests.support.http_stage import STAGE, connected, stage
from tests.support.serving import answering
from tests.support.upstream import WINDOW, Refuse, Scene

__all__ = ["stage"]  # a fixture

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
LONG = "word " * (WINDOW + 1)
MESSAGES: Any = [{"role": "user", "content": LONG}]
# By these words LiteLLM tells this error from others.
WORDS = "this model's maximum context length is"
BODIES: list[tuple[str, dict[str, Any], str]] = [
    (CHAT, {"messages": MESSAGES}, "messages"),
    (COMPLETIONS, {"prompt": LONG}, "prompt"),
    (COMPLETIONS, {"prompt": LONG, "refine": {}}, "prompt"),
    ("/v1/refine", {"messages": MESSAGES}, "messages"),
    ("/v1/refine", {"prompt": LONG}, "prompt"),
    ("/v1/feedback", {"prompt": LONG, "response": "Yes."}, "prompt"),
]


def error_of(service: Service, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = asyncio.run(send(service, "POST", path, json=body))
    assert answer.status_code == 400, answer.text
    error: dict[str, Any] = answer.json()["error"]
    assert (error["type"], error["code"]) == ("invalid_request_error", "context_length_exceeded")
    assert WORDS in error["message"].lower()
    return error


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("path", "body", "param"), BODIES)
def test_every_route_says_so(path: str, body: dict[str, Any], param: str, stream: bool) -> None:
    engine = ScriptedEngine(reply=demo_reply, window=WINDOW)
    streamed = {"stream": True} if stream and path != "/v1/feedback" else {}
    error = error_of(Service(srt_model(engine)), path, {**body, **streamed})
    assert error["param"] == param
    assert f"context length is {WINDOW} tokens. However, " in error["message"]


def test_what_is_asked_for_counts_too() -> None:
    service = Service(srt_model(ScriptedEngine(reply=demo_reply, window=WINDOW)))
    short = [{"role": "user", "content": "Hi"}]
    error = error_of(service, CHAT, {"messages": short, "max_tokens": WINDOW})
    assert (
        "However, you requested 516 tokens (4 in the messages, 512 in the comp"
        in (error["message"])
    )
    assert "lower max_tokens to 508" in error["message"]


THEIRS = [
    "This model's maximum context length is 512 tokens. However, your prompt contains at least "
    "513 input tokens, which exceeds this limit even without any output tokens.",
    "The decoder prompt (length 600) is longer than the maximum model length of 512.",
    "max_tokens=9000 cannot be greater than max_model_len=max_total_tokens=512. Please request "
    "fewer output tokens.",
]


@pytest.mark.parametrize("message", THEIRS)
@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, {"messages": [{"role": "user", "content": "Hi"}], "logprob_token_ids": [1]}),
        (COMPLETIONS, {"prompt": "Hi", "suffix": "."}),
    ],
)
def test_the_engines_own_layer_is_understood(path: str, body: Any, message: str) -> None:
    theirs = {"message": message, "type": "BadRequestError", "param": "input_tokens", "code": 400}
    direct = {"model": "scripted:direct", **body}
    error = error_of(serve(Layer(400, {"error": theirs})), path, direct)
    assert error["param"] == ("messages" if path == CHAT else "prompt")
    assert message in error["message"]


@pytest.mark.parametrize(
    "fields", [{}, {"model": "upstream-model:direct", "logprob_token_ids": [1]}], ids=["", "direct"]
)
@pytest.mark.parametrize(
    "theirs",
    [
        {"message": "Input too large", "code": "context_length_exceeded"},
        {"message": "the request exceeds the available context size, try increasing it"},
    ],
)
def test_an_upstream_is_understood(fields: dict[str, Any], theirs: dict[str, Any]) -> None:
    async def ask() -> dict[str, Any]:
        scene = Scene(vllm=False)
        scene.next = [Refuse(400, {"error": theirs})]
        STAGE.app = scene.app()
        async with connected(STAGE.served, window=WINDOW) as engine:
            service = Service(ServedModel(engine, direct=engine.direct))
            body = {"messages": [{"role": "user", "content": "Hi"}], "stream": True, **fields}
            answer = await send(service, "POST", CHAT, json=body)
            error: dict[str, Any] = answer.json()["error"]
            return error

    error = asyncio.run(ask())
    exceeded = "This model's maximum context length is exceeded"
    assert (error["code"], error["param"]) == ("context_length_exceeded", "messages")
    assert error["message"] == f"{exceeded}: {theirs['message']}"


def test_the_stock_client_raises_what_others_map() -> None:
    with answering(ScriptedEngine(reply=demo_reply, window=WINDOW)) as served:
        client = openai.OpenAI(base_url=served.v1, api_key="none")
        with pytest.raises(openai.BadRequestError) as raised:
            client.chat.completions.create(model="scripted", messages=MESSAGES)
    assert raised.value.code == "context_length_exceeded"
