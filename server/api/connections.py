"""Connections: how many there may be, and how long and how large the head of a request.

uvicorn's HTTP protocols bound neither the time a head takes nor, with httptools, its size, and both
are spent before any route, or the API key, is looked at. What is refused here is answered in
OpenAI's shape, with a request id, unless an earlier request of the connection is being answered.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from starlette.types import Scope
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from redraft.server.api.errors import RETRY_AFTER_S, ApiError
from redraft.server.api.upgrades import WithoutUpgrades
from redraft.server.config import ServerConfig

access = logging.getLogger("redraft.access")
log = logging.getLogger("redraft")

NO_HTTP = "this is no HTTP/1.1 request; send one, such as GET /health HTTP/1.1"
LINGER_S = 2.0  # for a refused client to read its answer


@dataclass
class ConnectionBounds:
    """What all connections of one server share."""

    max_connections: int
    max_header_bytes: int
    header_timeout_s: float
    full: bool = False  # it has been said that there are too many

    @classmethod
    def of(cls, config: ServerConfig, descriptors: int) -> ConnectionBounds:
        """``descriptors``: how many the process may have open; some are needed for other things
        than connections."""
        spared = min(128, descriptors // 2)
        most = min(config.max_connections, descriptors - spared)
        return cls(most, config.max_header_bytes, config.header_timeout_s)


class Bounded(asyncio.Protocol):
    """Goes before a class of uvicorn's."""

    transport: Any
    loop: asyncio.AbstractEventLoop
    connections: set[Any]
    cycle: Any  # the last request, once its head is complete
    flow: Any
    _unset_keepalive_if_required: Callable[[], None]

    def __init__(self, *arguments: Any, bounds: ConnectionBounds, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._bounds = bounds
        self._head_bytes = 0  # of a head that is not complete
        self._timer: asyncio.TimerHandle | None = None
        self._refused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        bounds = self._bounds
        if len(self.connections) > bounds.max_connections:
            if not bounds.full:
                most = bounds.max_connections
                log.warning("more than %d connections (max_connections): refusing others", most)
            bounds.full = True
            self._refuse(_too_many(bounds))
            return
        bounds.full = False
        self._await_head()

    def data_received(self, data: bytes) -> None:
        if not self._refused:
            self._read(data)

    def _read(self, data: bytes) -> None:
        cycle = self.cycle
        of_head = cycle is None or not cycle.more_body
        super().data_received(data)
        if self._refused:
            return
        if self.cycle is not cycle:  # a head is complete
            self._head_bytes = 0
            self._stop_timer()
        elif of_head:
            self._head_bytes += len(data)
            self._await_head()
            if self._head_bytes > self._bounds.max_header_bytes:
                self._refuse(_too_large(self._bounds.max_header_bytes))

    def connection_lost(self, error: Exception | None) -> None:
        self._stop_timer()
        # Of a connection that was reset, uvicorn lets its own timer run, and with it keeps all that
        # the last request was about.
        self._unset_keepalive_if_required()
        super().connection_lost(error)

    def _await_head(self) -> None:
        if self._timer is None and not self.transport.is_closing():
            self._timer = self.loop.call_later(self._bounds.header_timeout_s, self._too_slow)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        if not self._head_bytes:  # it has asked for nothing
            self.transport.close()
            return
        message = f"the request's headers did not arrive within {self._bounds.header_timeout_s:g} s"
        self._refuse(ApiError(408, message, code="request_timeout"))

    def _refuse(self, error: ApiError) -> None:
        """Answer and end the connection. What the client still sends is read for a while: closing
        before could take the answer back."""
        self._refused = True
        self._stop_timer()
        if self.cycle is not None and not self.cycle.response_complete:
            self.transport.close()
            return
        request_id = f"req-{uuid4().hex}"
        access.info("- - %d id=%s: %s", error.status, request_id, error.message)
        self.connections.discard(self)
        self.flow.resume_reading()
        self.transport.write(answer_of(error, request_id))
        self.transport.write_eof()
        self._timer = self.loop.call_later(LINGER_S, self.transport.close)


class BoundedProtocol(Bounded, WithoutUpgrades, AutoHTTPProtocol):  # type: ignore[misc, valid-type]
    def send_400_response(self, msg: str) -> None:
        """What is no HTTP. ``msg``, which is uvicorn's, does not say what is expected."""
        self._refuse(ApiError(400, NO_HTTP, code="invalid_http"))


def bounded(bounds: ConnectionBounds) -> Any:
    """The protocol class of a server with these bounds, as uvicorn's configuration takes it."""
    return partial(BoundedProtocol, bounds=bounds)


def check_head(scope: Scope, config: ServerConfig) -> None:
    """ApiError for a head that is whole, and too large or of too many headers."""
    headers = scope["headers"]
    if len(headers) > config.max_headers:
        message = f"the request has {len(headers)} headers; this server takes {config.max_headers}"
        raise ApiError(431, message, code="too_many_headers", headers={"Connection": "close"})
    size = len(scope.get("raw_path") or b"") + len(scope["query_string"])
    size += sum(len(name) + len(value) for name, value in headers)
    if size > config.max_header_bytes:
        raise _too_large(config.max_header_bytes)


def _too_large(most: int) -> ApiError:
    message = f"the request's headers are larger than {most} bytes, the most this server takes"
    return ApiError(431, message, code="headers_too_large", headers={"Connection": "close"})


def _too_many(bounds: ConnectionBounds) -> ApiError:
    return ApiError(
        503,
        f"{bounds.max_connections} connections are open, the most this server takes",
        code="too_many_connections",
        headers={"Retry-After": str(RETRY_AFTER_S)},
    )


def answer_of(error: ApiError, request_id: str) -> bytes:
    """A whole answer, after which the connection ends."""
    body = json.dumps(error.body()).encode()
    headers = {
        **error.headers,
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "x-request-id": request_id,
        "Connection": "close",
    }
    lines = (f"{name.lower()}: {value}" for name, value in headers.items())
    head = "\r\n".join([f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}", *lines])
    return f"{head}\r\n\r\n".encode() + body
