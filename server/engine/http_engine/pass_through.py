"""Direct mode over HTTP: OpenAI requests go to the upstream as they are, and so do the answers.

An ASGI application for POST /v1/chat/completions and /v1/completions. Only the model's name is
replaced on the way, and the caller's credentials stay behind; an upstream's errors come back in
OpenAI's shape. When the client leaves, the upstream's connection is closed at once. An upstream
that is gone, before it answers or in the middle, raises EngineUnavailable.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any

from redraft.server.engine.http_engine.answer import UpstreamError
from redraft.server.engine.http_engine.connection import Connection
from redraft.server.engine.http_engine.upstream import Upstream

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

_PATHS = ("/chat/completions", "/completions")
_SENT_ON = ("x-request-id", "x-session-id", "traceparent", "tracestate")
_SENT_BACK = ("content-type", "retry-after", "x-request-id")
_LONGEST_ERROR = 65_536  # bytes
WHOLE_ANSWER_S = 600.0


class PassThrough:
    def __init__(self, connection: Connection, upstream: Upstream, model: str) -> None:
        self._connection, self._upstream, self._model = connection, upstream, model

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = next((p for p in _PATHS if scope["path"].endswith(f"/v1{p}")), None)
        if path is None or scope["method"] != "POST":
            told = f"{scope['method']} {scope['path']} is not passed on to the upstream"
            return await _send_error(send, 404, UpstreamError(told, "invalid_request_error"))
        body = await _body(receive)
        if body is None:
            return None
        try:
            asked = json.loads(body)
        except ValueError as error:
            told = f"the body is not JSON: {error}"
            return await _send_error(send, 400, UpstreamError(told, "invalid_request_error"))
        if not isinstance(asked, dict):
            told = "the body is not a JSON object"
            return await _send_error(send, 400, UpstreamError(told, "invalid_request_error"))
        asked["model"] = self._model
        await self._until_client_leaves(self._pass_on(path, asked, _sent_on(scope), send), receive)

    async def _pass_on(
        self, path: str, asked: dict[str, Any], headers: Mapping[str, str], send: Send
    ) -> None:
        # An answer that is no stream comes when all of it has been generated.
        wait_s = self._upstream.first_token_s if asked.get("stream") else WHOLE_ANSWER_S
        url, body = f"{self._upstream.api}{path}", json.dumps(asked).encode()
        async with self._connection.send("POST", url, body, headers, wait_s) as response:
            pieces = self._connection.pieces(response, lambda: wait_s)
            async with aclosing(pieces):
                if response.status_code >= 400:
                    error = UpstreamError.read(await _beginning(pieces))
                    return await _send_error(send, response.status_code, error, response.headers)
                await _start(send, response.status_code, response.headers)
                async for piece in pieces:
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

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
    """Of an error; more than that is not shown to anyone."""
    told = b""
    async for piece in pieces:
        told += piece
        if len(told) > _LONGEST_ERROR:
            break
    return told


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _sent_on(scope: Scope) -> dict[str, str]:
    given = {name.decode("latin-1").lower(): value for name, value in scope["headers"]}
    return {name: given[name].decode("latin-1") for name in _SENT_ON if name in given}


async def _start(send: Send, status: int, headers: Mapping[str, str]) -> None:
    given = [(n.encode(), headers[n].encode("latin-1")) for n in _SENT_BACK if n in headers]
    await send({"type": "http.response.start", "status": status, "headers": given})


def _shape(error: UpstreamError) -> dict[str, Any]:
    fields = {"message": error.message, "type": error.type or "server_error"}
    return {"error": {**fields, "param": error.param, "code": error.code}}


async def _send_error(
    send: Send, status: int, error: UpstreamError, headers: Mapping[str, str] | None = None
) -> None:
    kept = {n: v for n, v in (headers or {}).items() if n in ("retry-after", "x-request-id")}
    await _start(send, status, {**kept, "content-type": "application/json"})
    await send({"type": "http.response.body", "body": json.dumps(_shape(error)).encode()})
