"""Direct mode over HTTP: forwards OpenAI requests to the upstream, and its answers back.

An ASGI application for POST /v1/chat/completions and /v1/completions. A model the upstream does not
list is replaced by the one it is asked for, and the caller's credentials are not passed on; special
tokens that a chat spells out stay text, where the upstream shows its tokens; an upstream's errors
come back in OpenAI's shape. When the client leaves, the upstream's connection is closed at once. An
upstream that is lost, before it answers or in the middle, raises EngineUnavailable.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from redraft.server.engine.base import EngineError
from redraft.server.engine.http_engine.answer import UpstreamError
from redraft.server.engine.http_engine.connection import Connection
from redraft.server.engine.http_engine.spelled_tokens import SpelledTokens
from redraft.server.engine.http_engine.upstream import Upstream
from redraft.server.engine.overflow import in_openais_words

log = logging.getLogger(__name__)

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

_PATHS = ("/chat/completions", "/completions")
_FORWARDED = ("x-request-id", "x-session-id", "traceparent", "tracestate")
_RETURNED = ("content-type", "retry-after", "x-request-id")
_ERROR_EVENT = b'data: {"error"'
_LONGEST_ERROR = 65_536  # bytes
WHOLE_ANSWER_S = 600.0


class PassThrough:
    def __init__(
        self,
        connection: Connection,
        upstream: Upstream,
        model: str,
        listed: Collection[str] = (),  # models a request may name; any other becomes ``model``
        spelled: SpelledTokens | None = None,  # of an upstream that shows its tokens
    ) -> None:
        self._connection, self._upstream, self._model = connection, upstream, model
        self._listed, self._spelled = listed, spelled

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = next((p for p in _PATHS if scope["path"].endswith(f"/v1{p}")), None)
        if path is None or scope["method"] != "POST":
            message = f"{scope['method']} {scope['path']} is not passed on to the upstream"
            return await _send_error(send, 404, UpstreamError(message, "invalid_request_error"))
        body = await _body(receive)
        if body is None:
            return None
        try:
            request = json.loads(body)
        except ValueError as error:
            message = f"the body is not JSON: {error}"
            return await _send_error(send, 400, UpstreamError(message, "invalid_request_error"))
        if not isinstance(request, dict):
            message = "the body is not a JSON object"
            return await _send_error(send, 400, UpstreamError(message, "invalid_request_error"))
        if request.get("model") not in self._listed:
            request["model"] = self._model
        if self._spelled is not None and path == "/chat/completions":
            request = await self._spelled.request_without(request)
        try:
            await self._until_client_leaves(
                self._forward(path, request, _forwarded(scope), send), receive
            )
        except EngineError as error:
            error.tells_all |= self._upstream.tells_errors
            raise

    async def _forward(
        self, path: str, request: dict[str, Any], headers: Mapping[str, str], send: Send
    ) -> None:
        # An answer that is not streamed begins when all of it has been generated.
        wait_s = self._upstream.first_token_s if request.get("stream") else WHOLE_ANSWER_S
        url, body = f"{self._upstream.api}{path}", json.dumps(request).encode()
        async with self._connection.send("POST", url, body, headers, wait_s) as response:
            pieces = self._connection.pieces(response, lambda: wait_s)
            async with aclosing(pieces):
                if response.status_code >= 400:
                    error = self._error(response.status_code, await _beginning(pieces))
                    return await _send_error(send, response.status_code, error, response.headers)
                await _start(send, response.status_code, response.headers)
                async for piece in pieces:
                    part = self._event(piece) if piece.startswith(_ERROR_EVENT) else piece
                    await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    def _error(self, status: int, body: bytes) -> UpstreamError:
        """The upstream's error as a client may read it."""
        error = UpstreamError.read(self._connection.without_key(body))
        if overflow := in_openais_words(error.message, error.code):
            return replace(error, message=overflow)
        if self._upstream.tells_errors:
            return error
        log.warning("direct mode: the upstream answered %d: %s", status, error.message)
        told = f"the upstream answered {status}; the server's log has the reason"
        return replace(error, message=told)

    def _event(self, piece: bytes) -> bytes:
        """The event of an error in a stream, likewise."""
        event, end, rest = piece.partition(b"\n\n")
        error = self._error(500, event.removeprefix(b"data: "))
        return b"data: " + json.dumps(_shape(error)).encode() + end + rest

    async def _until_client_leaves(self, work: Awaitable[None], receive: Receive) -> None:
        working = asyncio.ensure_future(work)
        gone = asyncio.ensure_future(_disconnect(receive))
        try:
            await asyncio.wait((working, gone), return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                working.result()
        finally:
            for task in (working, gone):
                task.cancel()
            await asyncio.gather(working, gone, return_exceptions=True)


async def _body(receive: Receive) -> bytes | None:
    """The whole request; None when the client left before it was sent."""
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


async def _beginning(pieces: AsyncIterator[bytes]) -> bytes:
    """The beginning of an error's body; the rest is never shown."""
    content = b""
    async for piece in pieces:
        content += piece
        if len(content) > _LONGEST_ERROR:
            break
    return content


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _forwarded(scope: Scope) -> dict[str, str]:
    headers = {name.decode("latin-1").lower(): value for name, value in scope["headers"]}
    return {name: headers[name].decode("latin-1") for name in _FORWARDED if name in headers}


async def _start(send: Send, status: int, headers: Mapping[str, str]) -> None:
    returned = [(n.encode(), headers[n].encode("latin-1")) for n in _RETURNED if n in headers]
    await send({"type": "http.response.start", "status": status, "headers": returned})


def _shape(error: UpstreamError) -> dict[str, Any]:
    fields = {"message": error.message, "type": error.type or "server_error"}
    return {"error": {**fields, "param": error.param, "code": error.code}}


async def _send_error(
    send: Send, status: int, error: UpstreamError, headers: Mapping[str, str] | None = None
) -> None:
    kept = {n: v for n, v in (headers or {}).items() if n in ("retry-after", "x-request-id")}
    await _start(send, status, {**kept, "content-type": "application/json"})
    await send({"type": "http.response.body", "body": json.dumps(_shape(error)).encode()})
