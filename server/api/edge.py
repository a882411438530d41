"""Edge: what happens to every request before and after its route.

A request id, the API key, the size of the body, the access log, the last answer when all else
failed. Plain ASGI, no wrapper around the response, so that routes see the client leave.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
import re
import time
from collections.abc import Sequence
from urllib.parse import quote
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from redraft.server.api.errors import ApiError, describe
from redraft.server.api.settings import ApiKey, ApiSettings
from redraft.server.telemetry.metrics import Metrics

access = logging.getLogger("redraft.access")
log = logging.getLogger("redraft")

# Asked all day long by machines: neither logged nor counted.
PROBES = frozenset(
    ["/health", "/healthz", "/livez", "/ready", "/readyz", "/metrics", "/version", "/favicon.ico"]
)
# Everything else needs an API key, where keys are configured.
OPEN = PROBES | {"/", "/docs", "/openapi.json"}
OPEN_BELOW = ("/page/", "/docs/")
LONGEST_LOGGED = 200  # characters of a path
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


class Edge:
    def __init__(self, app: ASGIApp, settings: ApiSettings, metrics: Metrics) -> None:
        self.app, self.settings, self.metrics = app, settings, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        passage = _Passage(scope, receive, send)
        try:
            await self._pass(passage)
        except ClientDisconnect:
            passage.gone = True
        except ApiError as error:
            await error.response()(scope, receive, passage.send)
        except Exception as error:  # the last resort: whatever it is, the client gets an answer
            log.exception("request %s failed", passage.request_id)
            if passage.status:
                raise  # half an answer is out: only a broken connection tells the client
            await describe(error).response()(scope, receive, passage.send)
        finally:
            if scope["path"] not in PROBES:
                self._note(passage)

    async def _pass(self, passage: _Passage) -> None:
        scope = passage.scope
        if self.settings.api_keys and not _open(scope):
            scope["redraft.client"] = whose(scope, self.settings.api_keys)
        if scope["method"] in ("POST", "PUT", "PATCH"):
            try:
                async with asyncio.timeout(self.settings.body_timeout_s):
                    await passage.read_body(self.settings.max_body_bytes)
            except TimeoutError:
                seconds = f"{self.settings.body_timeout_s:g} s"
                message = f"the request body did not arrive within {seconds}"
                raise ApiError(408, message, code="request_timeout") from None
        await self.app(scope, passage.receive, passage.send)

    def _note(self, passage: _Passage) -> None:
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
        given = self.headers.get("x-request-id", "")
        self.request_id = given if _REQUEST_ID.fullmatch(given) else f"req-{uuid4().hex}"
        scope["redraft.request_id"] = self.request_id
        self.started = time.perf_counter()
        self.status = 0
        self.gone = False  # the client left before it had everything
        self._complete = False
        self._body: Message | None = None

    async def read_body(self, most: int) -> None:
        """The whole body, unless it is too large; routes then read it in one piece."""
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
        if _has_half_a_character(body):
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
            MutableHeaders(scope=message)["x-request-id"] = self.request_id
        elif not message.get("more_body", False):
            self._complete = True
        await self._send(message)


def whose(scope: Scope, keys: Sequence[ApiKey]) -> str:
    """The client a request's API key belongs to; ApiError when it is nobody's."""
    scheme, _, secret = Headers(scope=scope).get("authorization", "").partition(" ")
    given = secret.strip() if scheme.lower() == "bearer" else ""
    sha256 = hashlib.sha256(given.encode("utf-8", "surrogateescape")).digest()
    # Every key is compared, in constant time, so that the time taken says nothing.
    found = [key.client for key in keys if hmac.compare_digest(key.sha256, sha256)]
    if found:
        return found[0]
    what = "this API key is not known" if given else "no API key was sent"
    message = f"{what}; send one in the header 'Authorization: Bearer KEY'"
    headers = {"WWW-Authenticate": "Bearer"}
    raise ApiError(401, message, code="invalid_api_key", headers=headers)


def _open(scope: Scope) -> bool:
    path: str = scope["path"]
    return path in OPEN or path.startswith(OPEN_BELOW)


def _has_half_a_character(body: bytes) -> bool:
    """JSON can spell text that is none: no tokenizer takes it, and no answer could hold it."""
    if not _SURROGATE.search(body):
        return False
    try:
        json.dumps(json.loads(body), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    except (ValueError, RecursionError):  # not JSON; whoever reads it will say so
        return False
    return False


def _too_large(most: int) -> ApiError:
    message = f"the request body is larger than {most} bytes, the most this server takes"
    return ApiError(413, message, code="body_too_large", headers={"Connection": "close"})
