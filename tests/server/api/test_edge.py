"""The edge: request ids, API keys, the size of bodies, the access log, the last resort."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
from typing import Any

import httpx
import openai
import pytest

from redraft.server.api.app import build_app
from redraft.server.api.keys import ApiKey
from redraft.server.config import ServerConfig
from redraft.server.engine.scripted_engine import ScriptedEngine, demo_reply
from redraft.server.service import Service
from tests.support.asgi import send, srt_model
from tests.support.serving import Pause, answering, serving

CHAT = "/v1/chat/completions"
MESSAGES: Any = [{"role": "user", "content": "Hi"}]
BODY = {"messages": MESSAGES}
KEYS = (ApiKey.of("alice", "key-of-alice"), ApiKey.of("bob", "key-of-bob"))


def engine() -> ScriptedEngine:
    return ScriptedEngine(reply=demo_reply)


def ask(method: str, path: str, **more: Any) -> httpx.Response:
    return asyncio.run(send(Service(srt_model(engine())), method, path, **more))


def test_a_request_id_is_given_back() -> None:
    answer = ask("POST", CHAT, json=BODY, headers={"X-Request-Id": "mine-1.2_3"})
    assert answer.headers["x-request-id"] == "mine-1.2_3"


@pytest.mark.parametrize("request_id", ["", "has space", "x" * 129, "new\tline", "ünïcode"])
def test_an_unusable_request_id_is_replaced(request_id: str) -> None:
    answer = ask("GET", "/health", headers={"X-Request-Id": request_id.encode()})
    assert re.fullmatch(r"req-[0-9a-f]{32}", answer.headers["x-request-id"])


def test_two_requests_with_one_id_are_two_loops() -> None:
    with answering(engine()) as served:
        ids = {
            httpx.post(url, json=BODY, headers={"X-Request-Id": "same"}, timeout=60).json()["id"]
            for url in [served.url + CHAT] * 2
        }
    assert len(ids) == 2


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer wrong", "Basic key-of-bob"])
def test_without_a_known_key_there_is_no_answer(authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    answer = ask("POST", CHAT, keys=KEYS, json=BODY, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    error = answer.json()["error"]
    assert (error["type"], error["code"]) == ("invalid_request_error", "invalid_api_key")
    assert "wrong" not in error["message"]


@pytest.mark.parametrize("path", ["/v1/models", "/v1/refine", "/tokenize", "/nowhere", "/page"])
def test_whatever_is_not_meant_to_be_open_is_closed(path: str) -> None:
    assert ask("GET", path, keys=KEYS).status_code == 401


@pytest.mark.parametrize(
    "path", ["/health", "/ready", "/metrics", "/version", "/docs", "/docs/swagger-ui.css", "/"]
)
def test_probes_and_pages_need_no_key(path: str) -> None:
    assert ask("GET", path, keys=KEYS).status_code == 200


def test_the_stock_client_is_let_in_with_its_key_and_told_without() -> None:
    with answering(engine(), keys=KEYS) as served:
        client = openai.OpenAI(base_url=served.v1, api_key="key-of-alice")
        assert client.chat.completions.create(model="scripted", messages=MESSAGES).choices
        stranger = openai.OpenAI(base_url=served.v1, api_key="stolen")
        with pytest.raises(openai.AuthenticationError) as raised:
            stranger.chat.completions.create(model="scripted", messages=MESSAGES)
    assert raised.value.code == "invalid_api_key"


def test_the_log_names_the_client_and_never_the_key(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "redraft.access")
    headers = {"Authorization": "Bearer key-of-bob", "X-Request-Id": "abc"}
    ask("POST", CHAT, keys=KEYS, json=BODY, headers=headers)
    ask("GET", "/health", keys=KEYS)
    lines = [record.getMessage() for record in caplog.records if record.name == "redraft.access"]
    assert len(lines) == 1
    assert re.fullmatch(rf"POST {CHAT} 200 \d+\.\d+s id=abc client=bob", lines[0])
    assert "key-of-bob" not in caplog.text


def test_a_path_cannot_forge_lines_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "redraft.access")
    answer = ask("GET", "/a%0aPOST /admin 200" + "x" * 5000)
    assert len(answer.content) < 500
    lines = [record.getMessage() for record in caplog.records if record.name == "redraft.access"]
    assert len(lines) == 1
    assert "\n" not in lines[0]
    assert len(lines[0]) < 500


def test_keys_are_kept_as_hashes_only() -> None:
    assert "key-of-alice" not in repr(KEYS)


def test_a_client_has_its_own_share_of_the_server() -> None:
    pause = Pause("draft-0")
    slow = ScriptedEngine(reply=demo_reply, gate=pause)
    service = Service(srt_model(slow))
    with answering(slow, service, keys=KEYS) as served:
        headers = {"Authorization": "Bearer key-of-bob"}
        url = served.url + CHAT
        body = {**BODY, "stream": True}
        with httpx.stream("POST", url, json=body, headers=headers, timeout=60) as _:
            pause.wait_reached()
            assert dict(service.admission._running) == {"bob": 1}
            pause.release(served)


def test_a_body_that_says_it_is_too_large_is_not_read() -> None:
    with answering(engine(), max_body_mib=1000 / 2**20) as served, connected(served.port) as client:
        client.sendall(head("Content-Length: 1001"))
        assert b" 413 " in client.recv(100)


def test_a_body_that_grows_too_large_is_cut_off() -> None:
    with answering(engine(), max_body_mib=1000 / 2**20) as served, connected(served.port) as client:
        client.sendall(head("Transfer-Encoding: chunked"))
        client.sendall(b"258\r\n" + b"x" * 600 + b"\r\n")
        client.sendall(b"258\r\n" + b"x" * 600 + b"\r\n")
        assert b" 413 " in client.recv(100)


def test_a_body_that_does_not_come_is_not_waited_for_for_ever() -> None:
    with answering(engine(), body_timeout_s=0.05) as served, connected(served.port) as client:
        client.sendall(head("Content-Length: 100"))
        assert b" 408 " in client.recv(100)


def test_a_client_that_leaves_within_its_body_is_no_failure(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    with answering(engine()) as served:
        with connected(served.port) as client:
            client.sendall(head("Content-Length: 100") + b"{")
        served.until(lambda: "cancelled" in caplog.text)
    assert "failed" not in caplog.text


def test_a_bug_is_answered_in_the_form_of_all_errors_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = build_app(ServerConfig(), Service(srt_model(engine())))

    @app.get("/bug")
    async def bug() -> None:
        raise KeyError("a secret of the server")

    with serving(app) as served:
        answer = httpx.get(f"{served.url}/bug", headers={"X-Request-Id": "find-me"}, timeout=60)
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "internal_error"
    assert "secret" not in answer.text
    assert answer.headers["x-request-id"] == "find-me"
    assert "find-me" in caplog.text
    assert "a secret of the server" in caplog.text


PREFLIGHT = {"Origin": "https://chat.example", "Access-Control-Request-Method": "POST"}


def test_pages_of_other_sites_are_kept_out_unless_named() -> None:
    assert "access-control-allow-origin" not in ask("OPTIONS", CHAT, headers=PREFLIGHT).headers


def test_a_browser_may_ask_from_a_site_that_is_named() -> None:
    app: Any = {"config": ServerConfig(cors_origins=("https://chat.example",)), "keys": KEYS}
    preflight = ask("OPTIONS", CHAT, headers=PREFLIGHT, **app)
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "https://chat.example"
    refused = ask("POST", CHAT, json=BODY, headers={"Origin": "https://chat.example"}, **app)
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == "https://chat.example"


def connected(port: int) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port))
    client.settimeout(60)
    return client


def head(length: str) -> bytes:
    lines = f"POST {CHAT} HTTP/1.1", "Host: x", "Content-Type: application/json", length
    return "\r\n".join([*lines, "", ""]).encode()
