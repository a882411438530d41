"""What goes wrong inside, as clients read it: status, type, code, and whether to try again."""

from __future__ import annotations

import asyncio

import httpx
import openai
import pytest

from redraft.server.admission import Admission
from redraft.server.config import ServerConfig
from redraft.server.engine.base import EngineError, EngineRefused, EngineUnavailable, PromptTooLong
from redraft.server.engine.scripted_engine import Fail, ScriptedEngine, demo_reply
from redraft.server.service import Service
from tests.support.asgi import post, send, srt_model
from tests.support.serving import Pause, answering

BODY = {"messages": [{"role": "user", "content": "Hi"}]}
PATHS = {
    "/v1/chat/completions": BODY,
    "/v1/completions": {"prompt": "Hi"},
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("error", "status", "type_", "code"),
    [
        (EngineUnavailable("x"), 503, "server_error", "engine_unavailable"),
        (PromptTooLong("x"), 400, "invalid_request_error", "context_length_exceeded"),
        (EngineRefused("x"), 400, "invalid_request_error", "unsupported_by_engine"),
        (EngineError("x"), 502, "server_error", "upstream_error"),
    ],
)
def test_errors_of_the_engine(
    path: str, error: EngineError, status: int, type_: str, code: str
) -> None:
    answer = post(path, PATHS[path], Fail(error))
    told = answer.json()["error"]
    assert (answer.status_code, told["type"], told["code"]) == (status, type_, code)
    if status == 503:
        assert 1 <= int(answer.headers["retry-after"]) <= 120


def test_a_prompt_that_is_too_long_is_named_after_its_field() -> None:
    params = [
        post(path, body, Fail(PromptTooLong("x"))).json()["error"]["param"]
        for path, body in PATHS.items()
    ]
    assert params == ["messages", "prompt"]


def test_a_full_server_says_when_to_come_back() -> None:
    pause = Pause("draft-0")
    engine = ScriptedEngine(reply=demo_reply, gate=pause)
    service = Service(
        srt_model(engine), admission=Admission(ServerConfig(max_loops=1, max_queue=0))
    )

    with answering(engine, service) as served:
        url = f"{served.url}/v1/chat/completions"
        with httpx.stream("POST", url, json={**BODY, "stream": True}, timeout=60):
            pause.wait_reached()
            second = httpx.post(url, json=BODY, timeout=60)
            pause.release(served)
    assert second.status_code == 429
    assert second.json()["error"]["type"] == "rate_limit_error"
    assert 1 <= int(second.headers["retry-after"]) <= 120


@pytest.mark.parametrize("stream", [False, True])
def test_a_server_that_goes_takes_no_new_work(stream: bool) -> None:
    service = Service(srt_model(ScriptedEngine()), draining=True)
    body = {**BODY, "stream": stream}
    answer = asyncio.run(send(service, "POST", "/v1/chat/completions", json=body))
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "shutting_down")
    assert answer.headers["retry-after"]


def test_a_request_that_no_token_is_left_for() -> None:
    answer = post(
        "/v1/chat/completions", {**BODY, "refine": {"drafts": 4}, "max_completion_tokens": 3}
    )
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "max_completion_tokens"


def test_the_stock_client_raises_its_own_kinds() -> None:
    kinds = {
        openai.BadRequestError: Fail(PromptTooLong("x")),
        openai.InternalServerError: Fail(EngineUnavailable("x")),
    }
    with answering(ScriptedEngine(*kinds.values())) as served:
        client = openai.OpenAI(base_url=served.v1, api_key="none", max_retries=0)
        for kind in kinds:
            with pytest.raises(kind) as raised:
                client.chat.completions.create(model="scripted", **BODY)  # type: ignore[call-overload]
            assert raised.value.code  # type: ignore[attr-defined]
        with pytest.raises(openai.NotFoundError):
            client.models.retrieve("gpt-4o")
