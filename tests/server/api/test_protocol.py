"""What is no HTTP, and what wants another protocol, is answered in OpenAI's shape.
Spans: server/api/connections, server/api/upgrades"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import httpx
import pytest

from redraft.server.api.app import build_app
from redraft.server.api.connections import ConnectionBounds, bounded
from redraft.server.config import ServerConfig
from redraft.server.engine.scripted_engine import ScriptedEngine, demo_reply
from redraft.server.service import Service
from tests.support.asgi import srt_model
from tests.support.serving import Served, serving

UPGRADE = {"Connection": "Upgrade", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "x" * 22}


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    service = Service(srt_model(ScriptedEngine(reply=demo_reply)))
    app = build_app(ServerConfig(), service)
    with serving(app, http=bounded(ConnectionBounds.of(ServerConfig(), 1024)), ws="none") as served:
        yield served


def answer_to(served: Served, sent: bytes) -> tuple[bytes, bytes]:
    """Everything the server says until it closes the connection: head and body."""
    with socket.create_connection(("127.0.0.1", served.port), timeout=60) as client:
        client.sendall(sent)
        said = b""
        while part := client.recv(65536):
            said += part
    head, _, body = said.partition(b"\r\n\r\n")
    return head, body


@pytest.mark.parametrize(
    "sent",
    [
        b"hello\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"POST /v1/refine HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
    ],
)
def test_what_is_no_http_is_an_error_in_openais_shape(served: Served, sent: bytes) -> None:
    head, body = answer_to(served, sent)
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"content-type: application/json" in head
    assert b"x-request-id: req-" in head
    error = json.loads(body)["error"]
    assert (error["type"], error["code"]) == ("invalid_request_error", "invalid_http")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/realtime", 404, "unknown_url"),
        ("/v1/chat/completions", 405, "method_not_allowed"),
    ],
)
def test_a_websocket_is_an_error_in_openais_shape(
    served: Served, path: str, status: int, code: str
) -> None:
    answer = httpx.get(f"{served.url}{path}", headers={**UPGRADE, "Upgrade": "websocket"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.headers["x-request-id"]


H2C = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": ""}


def test_a_client_that_would_rather_have_http_2_is_answered(served: Served) -> None:
    assert httpx.get(f"{served.url}/v1/models", headers=H2C).status_code == 200


def test_and_so_is_one_that_sends_a_body_with_the_wish_in_one_piece_or_chunks(
    served: Served,
) -> None:
    def chunks() -> Iterator[bytes]:
        yield b'{"prompt": '
        yield b'"Hi"}'

    with httpx.Client(base_url=served.url, headers=H2C) as client:
        for _ in range(2):  # the connection is kept
            whole = client.post("/v1/refine", json={"prompt": "Hi"})
            assert (whole.status_code, whole.json()["object"]) == (200, "refine")
            typed = {"Content-Type": "application/json"}
            chunked = client.post("/v1/refine", content=chunks(), headers=typed)
            assert (chunked.status_code, chunked.json()["object"]) == (200, "refine")


def test_requests_behind_one_with_the_wish_are_read_as_requests(served: Served) -> None:
    body = b'{"prompt": "Hi"}'
    wish = b"Connection: Upgrade\r\nUpgrade: h2c\r\n"
    post = b"POST /v1/refine HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    sized = b"Content-Length: %d\r\n\r\n" % len(body)
    last = b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    head, rest = answer_to(served, (post + wish + sized + body) * 2 + last)
    assert head.startswith(b"HTTP/1.1 200 ")
    assert rest.count(b"HTTP/1.1 200 ") == 2


def test_a_tunnel_is_refused(served: Served) -> None:
    wish = b"Connection: Upgrade, close\r\nUpgrade: h2c\r\n\r\n"
    head, _ = answer_to(served, b"CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n" + wish)
    assert head.startswith(b"HTTP/1.1 4")
