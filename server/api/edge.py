"""Edge: what happens to every request before and after its route.

Request id, API key, size of the body, access log, and an answer when a route fails unexpectedly.
Plain ASGI without a wrapper around the response, so that routes notice a client that leaves.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from urllib.parse import quote
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from redraft.server.api import warnings
from redraft.server.api.connections import check_head
from redraft.server.api.errors import ApiError, describe
from redraft.server.api.keyring import Keyring
from redraft.server.config import ServerConfig
from redraft.server.telemetry.metrics import Metrics

access = logging.getLogger("redraft.access")
log = logging.getLogger("redraft")

# Polled by machines: neither logged nor counted.
PROBES = frozenset(
    ["/health", "/healthz", "/livez", "/ready", "/readyz", "/metrics", "/version", "/favicon.ico"]
)
# Everything else needs an API key, where keys are configured.
OPEN = PROBES | {"/", "/docs", "/openapi.json"}
OPEN_BELOW = ("/page/", "/docs/")
GUARDED = {"metrics": ("/metrics",), "docs": ("/docs", "/docs/", "/openapi.json")}
LONGEST_LOGGED = 200  # characters of a path
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


class Edge:
    def __init__(
        self, app: ASGIApp, config: ServerConfig, metrics: Metrics, keyring: Keyring
    ) -> None:
        self.app, self.config, self.metrics, self.keyring = app, config, metrics, keyring
        guarded = {path for page in config.guard for path in GUARDED[page]}
        self._open = OPEN - guarded
        self._open_below = tuple(path for path in OPEN_BELOW if path not in guarded)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        passage = _Passage(scope, receive, send)
        scope["redraft.send"] = send  # the server's own, for the parts of a stream
        try:
            await self._pass(passage)
        except ClientDisconnect:
            passage.gone = True
        except ApiError as error:
            await error.response()(scope, receive, passage.send)
        except Exception as error:  # any: the client gets an answer
            log.exception("request %s failed", passage.request_id)
            if passage.status:
                raise  # half an answer is sent: only a broken connection can show the failure
            await describe(error).response()(scope, receive, passage.send)
        finally:
            if scope["path"] not in PROBES:
                self._record(passage)

    async def _pass(self, passage: _Passage) -> None:
        scope = passage.scope
        check_head(scope, self.config)
        self.keyring.refresh()
        if self.keyring.keys and not self._is_open(scope["path"]):
            scope["redraft.client"] = self.keyring.client_of(scope)
        if scope["method"] in ("POST", "PUT", "PATCH"):
            try:
                async with asyncio.timeout(self.config.body_timeout_s):
                    await passage.read_body(self.config.max_body_bytes)
            except TimeoutError:
                seconds = f"{self.config.body_timeout_s:g} s"
                message = f"the request body did not arrive within {seconds}"
                raise ApiError(408, message, code="request_timeout") from None
        await self.app(scope, passage.receive, passage.send)

    def _is_open(self, path: str) -> bool:
        return path in self._open or path.startswith(self._open_below)

    def _record(self, passage: _Passage) -> None:
        """The access log's line and the request's metrics."""
        scope, seconds = passage.scope, time.perf_counter() - passage.started
        cancelled = passage.gone or not passage.status
        outcome = "cancelled" if cancelled else f"{passage.status // 100}xx"
        route = getattr(scope.get("route"), "path", "other")
        self.metrics.request(route, outcome, seconds)
        client = scope.get("redraft.client", "anonymous")
        path = quote(scope["path"][:LONGEST_LOGGED])  # no line breaks: they would forge lines
        access.info(
            "%s %s %s %.3fs id=%s client=%s",
            scope["method"],
            path,
            f"{passage.status} cancelled" if cancelled else passage.status,
            seconds,
            passage.request_id,
            client,
            extra={
                "fields": {
                    "message": "request",
                    "method": scope["method"],
                    "path": path,
                    "status": passage.status,
                    "cancelled": cancelled,
                    "seconds": round(seconds, 6),
                    "request_id": passage.request_id,
                    "client": client,
                }
            },
        )


class _Passage:
    """One request on its way through."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope, self._receive, self._send = scope, receive, send
        self.headers = Headers(scope=scope)
        callers_id = self.headers.get("x-request-id", "")
        usable = _REQUEST_ID.fullmatch(callers_id)
        self.request_id = callers_id if usable else f"req-{uuid4().hex}"
        self.started = time.perf_counter()
        self.status = 0
        self.gone = False  # the client left before it had everything
        self._complete = False
        self._body: Message | None = None

    async def read_body(self, most: int) -> None:
        """Read the whole body, for routes to get in one piece; ApiError when it is too large."""
        length = self.headers.get("content-length", "")
        if length.isdecimal() and int(length) > most:
            raise _too_large(most)
        parts: list[bytes] = []
        size, more = 0, True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > most:
                raise _too_large(most)
            more = message.get("more_body", False)
        body = b"".join(parts)
        if _has_lone_surrogate(body):
            problem = "the request body has half of a surrogate pair (\\ud800-\\udfff)"
            raise ApiError(400, problem, code="invalid_json")
        self._body = {"type": "http.request", "body": body, "more_body": False}

    async def receive(self) -> Message:
        if self._body is not None:
            body, self._body = self._body, None
            return body
        message = await self._receive()
        if message["type"] == "http.disconnect" and not self._complete:
            self.gone = True
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["x-request-id"] = self.request_id
            if warning := warnings.header_of(self.scope):
                headers[warnings.HEADER] = warning
        elif not message.get("more_body", False):
            self._complete = True
        await self._send(message)


def _has_lone_surrogate(body: bytes) -> bool:
    """JSON can spell half of a surrogate pair, which no tokenizer takes and UTF-8 cannot encode."""
    if not _SURROGATE.search(body):
        return False
    try:
        json.dumps(json.loads(body), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    except (ValueError, RecursionError):  # not JSON: the route answers with an error of its own
        return False
    return False


def _too_large(most: int) -> ApiError:
    message = f"the request body is larger than {most} bytes, the most this server takes"
    return ApiError(413, message, code="body_too_large", headers={"Connection": "close"})
