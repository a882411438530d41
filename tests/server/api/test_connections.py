"""Connections have bounds before anything of a request is looked at: on real sockets, with either
of uvicorn's parsers."""

from __future__ import annotations

import gc
import json
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any
from weakref import WeakSet

import httpx
import pytest
from uvicorn.protocols.http.h11_impl import H11Protocol

from redraft.server.api.app import build_app
from redraft.server.api.connections import Bounded, BoundedProtocol, ConnectionBounds
from redraft.server.api.keys import ApiKey
from redraft.server.config import ServerConfig
from redraft.server.engine.scripted_engine import ScriptedEngine
from redraft.server.service import Service
from tests.support.asgi import srt_model
from tests.support.faults import fault
from tests.support.serving import Pause, Served, serving


class BoundedH11(Bounded, H11Protocol):
    """The parser of an installation without httptools."""


PROTOCOLS = [BoundedProtocol, BoundedH11]
HEAD = b"GET /health HTTP/1.1\r\nHost: x\r\n"
MIB = 2**20
both = pytest.mark.parametrize("protocol", PROTOCOLS, ids=["auto", "h11"])


@contextmanager
def bounded(
    protocol: Any = BoundedProtocol, engine: ScriptedEngine | None = None, **config: Any
) -> Iterator[Served]:
    settings = ServerConfig(**config)
    keys = [ApiKey.of("team", "sk-secret")]
    app = build_app(settings, Service(srt_model(engine or ScriptedEngine())), keys)
    bounds = ConnectionBounds.of(settings, descriptors=4096)
    http = partial(protocol, bounds=bounds)
    with serving(app, http=http, h11_max_incomplete_event_size=64 * MIB) as served:
        yield served


def connect(served: Served) -> socket.socket:
    return socket.create_connection(("127.0.0.1", served.port), timeout=60)


def until_closed(client: socket.socket) -> bytes:
    said = b""
    while part := client.recv(65536):
        said += part
    return said


def health(client: socket.socket) -> bytes:
    """The answer to GET /health, in however many pieces it comes."""
    said = b""
    while not said.endswith(b'{"status":"alive"}') and (part := client.recv(65536)):
        said += part
    return said


def refusal(said: bytes) -> tuple[int, str]:
    """The status and the code of an error in OpenAI's shape."""
    head, _, body = said.partition(b"\r\n\r\n")
    assert b"x-request-id: req-" in head
    assert b"connection: close" in head.lower()
    error = json.loads(body)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return int(head.split()[1]), error["code"]


@fault(
    "Clients",
    "Headers without an end",
    sees="an error, 431",
    lost="nothing of others",
    recovers="closes the connection",
)
@both
def test_headers_without_an_end_are_refused_when_they_are_too_large(protocol: Any) -> None:
    sent = 0
    with bounded(protocol) as served, connect(served) as client:
        client.sendall(HEAD + b"X-Long: ")
        try:
            while sent < 32 * MIB:
                sent += client.send(b"a" * 65536)
        except OSError:  # the server has closed its end
            pass
        client.shutdown(socket.SHUT_WR)
        assert refusal(until_closed(client)) == (431, "headers_too_large")


@both
@pytest.mark.parametrize(
    ("more", "code"),
    [
        (b"".join(b"X-%d: 1\r\n" % i for i in range(200)), "too_many_headers"),
        (b"X-Long: " + b"a" * 70_000 + b"\r\n", "headers_too_large"),
    ],
)
def test_a_whole_head_is_bounded_before_the_key_is_looked_at(
    protocol: Any, more: bytes, code: str
) -> None:
    request = b"POST /v1/refine HTTP/1.1\r\nHost: x\r\n" + more + b"\r\n"
    with bounded(protocol) as served, connect(served) as client:
        client.sendall(request)
        client.shutdown(socket.SHUT_WR)
        assert refusal(until_closed(client)) == (431, code)


@both
def test_an_address_counts_among_the_headers(protocol: Any) -> None:
    with bounded(protocol) as served, connect(served) as client:
        client.sendall(b"GET /" + b"a" * 70_000)
        assert refusal(until_closed(client)) == (431, "headers_too_large")


@fault(
    "Clients",
    "Headers that arrive too slowly, or never",
    sees="an error, 408",
    lost="nothing of others",
    recovers="closes the connection after `--header-timeout-s`",
)
@both
@pytest.mark.parametrize("begun", [HEAD, b"G"])
def test_headers_that_do_not_arrive_are_not_waited_for(protocol: Any, begun: bytes) -> None:
    with bounded(protocol, header_timeout_s=0.2) as served, connect(served) as client:
        client.sendall(begun)
        assert refusal(until_closed(client)) == (408, "request_timeout")


@both
def test_who_asks_for_nothing_is_not_waited_for(protocol: Any) -> None:
    with bounded(protocol, header_timeout_s=0.2) as served, connect(served) as client:
        assert until_closed(client) == b""


@both
def test_the_second_request_of_a_connection_has_the_same_time(protocol: Any) -> None:
    with bounded(protocol, header_timeout_s=0.2) as served, connect(served) as client:
        client.sendall(HEAD + b"\r\n")
        assert health(client).startswith(b"HTTP/1.1 200")
        client.sendall(HEAD)
        assert refusal(until_closed(client)) == (408, "request_timeout")


@both
def test_headers_behind_a_request_that_is_being_answered_are_bounded_too(protocol: Any) -> None:
    pause = Pause("draft")
    engine = ScriptedEngine("It is Paris", gate=pause)
    with bounded(protocol, engine, max_header_kib=4) as served, connect(served) as client:
        body = json.dumps({"prompt": "Capital of France?", "max_iterations": 0}).encode()
        client.sendall(
            b"POST /v1/refine HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sk-secret\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        )
        pause.wait_reached()
        try:
            for _ in range(64):
                client.sendall(HEAD + b"X-Long: " + b"a" * 65536)
        except OSError:  # the server has closed the connection
            pass
        pause.wait_left()  # as when a client leaves


@both
def test_a_long_body_is_no_head(protocol: Any) -> None:
    body = json.dumps({"prompt": "a" * 300_000}).encode()
    with bounded(protocol, header_timeout_s=0.5, max_header_kib=4) as served:
        for _ in range(2):
            answer = httpx.post(
                f"{served.v1}/feedback", content=body, headers={"Authorization": "Bearer sk-secret"}
            )
            assert answer.status_code == 415  # it was read whole


@fault(
    "Clients",
    "More connections than `--max-connections`",
    sees="an error, 503 with `Retry-After`, on those above it",
    lost="nothing of others",
    recovers="takes new ones as others end",
)
@both
def test_a_connection_above_the_bound_is_refused_and_those_below_are_served(
    protocol: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with bounded(protocol, max_connections=3) as served:
        with ExitStack() as stack:
            held = [stack.enter_context(connect(served)) for _ in range(3)]
            for client in held:
                client.sendall(HEAD + b"\r\n")
                assert health(client).startswith(b"HTTP/1.1 200")
            for _ in range(3):
                with connect(served) as refused:
                    refused.sendall(HEAD + b"\r\n")
                    said = until_closed(refused)
                    assert refusal(said) == (503, "too_many_connections")
                    assert b"retry-after: 5" in said
            held[0].sendall(HEAD + b"\r\n")
            assert health(held[0]).startswith(b"HTTP/1.1 200")
        while httpx.get(f"{served.url}/health").status_code != 200:
            pass  # until the server has noticed that they left
    said_once = [line for line in caplog.messages if "max_connections" in line]
    assert len(said_once) == 1


@both
def test_a_connection_that_was_reset_is_forgotten_at_once(protocol: Any) -> None:
    made: WeakSet[Any] = WeakSet()

    class Watched(protocol):  # type: ignore[misc]
        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            made.add(self)

    def forgotten() -> bool:
        gc.collect()
        return not made

    with bounded(Watched) as served:
        with connect(served) as client:
            client.sendall(HEAD + b"\r\n")
            assert health(client).startswith(b"HTTP/1.1 200")
            assert len(made) == 1
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        served.until(forgotten)


def test_some_descriptors_are_spared_for_other_things_than_connections() -> None:
    assert ConnectionBounds.of(ServerConfig(), descriptors=65_536).max_connections == 1000
    assert ConnectionBounds.of(ServerConfig(), descriptors=1024).max_connections == 896
    assert ConnectionBounds.of(ServerConfig(), descriptors=64).max_connections == 32
