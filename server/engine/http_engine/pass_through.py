"""Direct mode over HTTP: forwards OpenAI requests to the upstream, and its answers back.

An ASGI application for POST /v1/chat/completions and /v1/completions. A model the upstream does not
list is replaced by the one it is asked for, and the caller's credentials are not passed on; special
tokens that a chat spells out stay text, where the upstream shows its tokens; an upstream's errors
come back in OpenAI's shape. When the client leaves, the upstream's connection is closed at once. An
upstream that is lost, before it answers or in the middle, raises EngineUnavailable, as does one
whose answer no client could read; no event is passed on by half.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from redraft.server.engine.base import EngineError, EngineUnavailable
from redraft.server.engine.http_engine.answer import UpstreamError
from redraft.server.engine.http_engine.connection import LONGEST_ANSWER, LONGEST_EVENT, Connection
from redraft.server.engine.http_engine.spelled_tokens import SpelledTokens
from redraft.server.engine.http_engine.upstream import Upstream
from redraft.server.engine.overflow import in_openais_words
from redraft.server.engine.sse import DONE, EventReader, WholeEvents

log = logging.getLogger(__name__)

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

_PATHS = ("/chat/completions", "/completions")
_FORWARDED = ("x-request-id", "x-session-id", "traceparent", "tracestate")
_RETURNED = ("content-type", "retry-after", "x-request-id")
_ERROR_EVENT = b'data: {"error"'
_LONGEST_ERROR = 65_536  # bytes
_SHOWN = 120  # of what is no answer
_STREAM, _JSON = "text/event-stream", "application/json"
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
        streamed = bool(request.get("stream"))
        wait_s = self._upstream.first_token_s if streamed else WHOLE_ANSWER_S
        url, body = f"{self._upstream.api}{path}", json.dumps(request).encode()
        async with self._connection.send("POST", url, body, headers, wait_s) as response:
            status, kind = response.status_code, response.headers.get("content-type", "nothing")
            pieces = self._connection.pieces(response, lambda: wait_s)
            async with aclosing(pieces):
                if status >= 400:
                    error = self._error(status, await _beginning(pieces, _LONGEST_ERROR))
                    status = status if status < 600 else 502
                    return await _send_error(send, status, error, response.headers)
                if status >= 300 or not kind.startswith(_STREAM if streamed else _JSON):
                    shown = (await _beginning(pieces, _SHOWN))[:_SHOWN]
                    raise EngineUnavailable(
                        f"the upstream answered {status} with {kind}, which is no completion",
                        repr(shown),
                    )
                if not streamed:
                    content = await _whole(pieces)
                    await _start(send, status, response.headers)
                    return await send({"type": "http.response.body", "body": content})
                await _start(send, status, response.headers)
                async with aclosing(_events(pieces)) as events:
                    async for whole in events:
                        part = self._told(whole) if _ERROR_EVENT in whole else whole
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

    def _told(self, events: bytes) -> bytes:
        """The events of a stream, those of errors likewise."""
        return b"".join(
            self._event(line) if line.startswith(_ERROR_EVENT) else line
            for line in events.splitlines(keepends=True)
        )

    def _event(self, line: bytes) -> bytes:
        error = self._error(500, line.removeprefix(b"data: "))
        return b"data: " + json.dumps(_shape(error)).encode() + b"\n"

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


async def _beginning(pieces: AsyncIterator[bytes], most: int) -> bytes:
    """The beginning of a body; the rest is never shown."""
    content = b""
    async for piece in pieces:
        content += piece
        if len(content) > most:
            break
    return content


async def _events(pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """The bytes of a stream, whole events at a time; EngineUnavailable for one that is none."""
    events, reader, finished = WholeEvents(), EventReader(), False
    async for piece in pieces:
        whole = events.read(piece)
        for event in reader.read(whole):
            finished |= event == DONE or _finishes(event)
        if events.num_unfinished > LONGEST_EVENT:
            raise EngineUnavailable("the upstream sent an event without an end")
        if whole:
            yield whole
    if not finished:
        raise EngineUnavailable("the upstream's stream ended in the middle of a completion")


async def _whole(pieces: AsyncIterator[bytes]) -> bytes:
    """An answer in one piece; EngineUnavailable for one that is none."""
    content = await _beginning(pieces, LONGEST_ANSWER)
    if not isinstance(_json(content).get("choices"), list):
        raise EngineUnavailable("the upstream answered no completion", repr(content[:_SHOWN]))
    return content


def _finishes(event: bytes) -> bool:
    """Whether a stream may end after this event: it ends a completion, or reports a failure."""
    data = _json(event)
    choices = data.get("choices")
    ended = isinstance(choices, list) and any(
        isinstance(choice, dict) and choice.get("finish_reason") for choice in choices
    )
    return ended or bool(data.get("error"))


def _json(content: bytes) -> dict[str, Any]:
    try:
        data = json.loads(content)
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        raise EngineUnavailable("the upstream sent no JSON object", repr(content[:_SHOWN]))
    return data


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _forwarded(scope: Scope) -> dict[str, str]:
    headers = {name.decode("latin-1").lower(): value for name, value in scope["headers"]}
    return {name: headers[name].decode("latin-1") for name in _FORWARDED if name in headers}


async def _start(send: Send, status: int, headers: Mapping[str, str]) -> None:
    returned = [
        (n.encode(), headers[n].encode("latin-1", "replace")) for n in _RETURNED if n in headers
    ]
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
