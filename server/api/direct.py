"""Direct mode: hands a request that needs more than the loop can do to the engine's own OpenAI
layer (tools, logprobs, n > 1, images), and its answer back in our form.

Admission, metrics, drain and disconnects hold for these requests as for all others.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Scope

from redraft.server.api import unsupported
from redraft.server.api.decide import Decision
from redraft.server.api.errors import ApiError
from redraft.server.api.sse import Connected, EventStream, data
from redraft.server.config import ServerConfig
from redraft.server.engine.base import Direct
from redraft.server.refine.interrupt import Interrupt
from redraft.server.refine.loop import NoDraft
from redraft.server.refine.stopping import Stop
from redraft.server.service import Service

OURS = ("refine", "reasoning", "reasoning_effort")  # decided here; the engine's layer knows none
_ROUTES = {"/v1/chat/completions": "chat", "/v1/completions": "completions"}
_ERROR_EVENT = b'data: {"error"'
_TOTAL_TOKENS = re.compile(rb'"total_tokens": ?(\d+)')
LEAVING_S = 2.0  # for an app to stop when its client has left
_WAITING_PARTS = 16  # then the engine's layer waits for the client


async def forward(
    request: Request,
    service: Service,
    settings: ServerConfig,
    client: str,
    decision: Decision,
    needed_by: str,
) -> Response:
    """The answer of the engine's own layer. ``needed_by`` is the field that asks for it."""
    if service.model.direct is None:
        raise unsupported.no_layer(needed_by)
    payload = {k: v for k, v in (await request.json()).items() if k not in OURS}
    payload["model"] = service.model.engine.model
    call = _Call(service, request.url.path, client, decision.deadline_ms, payload)
    if payload.get("stream"):
        return EventStream(call.events(), settings)
    async with Connected(request.receive):
        return await call.whole()


@dataclass(frozen=True, slots=True)
class _Call:
    service: Service
    path: str
    client: str
    deadline_ms: int | None
    payload: dict[str, Any]

    async def whole(self) -> Response:
        async with self._answer() as (answer, interrupt):
            status, headers = await _in_time(interrupt, answer.started)
            body = b"".join([part async for part in answer.parts(interrupt)])
        if status >= 400:
            raise reshaped(status, body, headers)
        return Response(body, status, {"content-type": headers["content-type"]})

    async def events(self) -> AsyncGenerator[bytes, None]:
        async with self._answer() as (answer, interrupt):
            status, headers = await _in_time(interrupt, answer.started)
            async with aclosing(answer.parts(interrupt)) as parts:
                if status >= 400:
                    raise reshaped(status, b"".join([part async for part in parts]), headers)
                async for part in parts:
                    yield _reshaped_event(part)

    @asynccontextmanager
    async def _answer(self) -> AsyncIterator[tuple[_Answer, Interrupt]]:
        route = _ROUTES[self.path]
        async with self.service.place(route, self.client, self.deadline_ms) as (interrupt, watch):
            answer = _Answer(self.service.model.direct, self.path, self.payload)
            try:
                yield answer, interrupt
                watch.forwarded()
            finally:
                watch.forwarded_tokens = answer.tokens
                await answer.close()


class _Answer:
    """What an ASGI app answers to one request, while it does."""

    def __init__(self, app: Direct, path: str, payload: dict[str, Any]) -> None:
        self.tokens = 0  # read and written, as far as the app tells
        self._body: bytes | None = json.dumps(payload).encode()
        self._parts: asyncio.Queue[bytes | None] = asyncio.Queue(_WAITING_PARTS)
        # The status and the headers.
        self.started: asyncio.Future[tuple[int, Headers]]
        self.started = asyncio.get_running_loop().create_future()
        self._failure: Exception | None = None
        self._gone = asyncio.Event()
        self._task = asyncio.create_task(self._run(app, self._scope(path, len(self._body))))

    async def parts(self, interrupt: Interrupt) -> AsyncGenerator[bytes, None]:
        while (part := await _in_time(interrupt, self._parts.get())) is not None:
            # An event is a token, more or less; the answer, or its last event, tells the sum.
            told = _TOTAL_TOKENS.findall(part)
            self.tokens = int(told[-1]) if told else self.tokens + 1
            yield part
        if self._failure is not None:
            raise self._failure

    async def close(self) -> None:
        """End the work, if there still is any."""
        # Told as to a server whose client left: an app that works in tasks of its own stops
        # them then, and would not when it is only cancelled.
        self._gone.set()
        await asyncio.wait({self._task}, timeout=LEAVING_S)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self.started.cancel()

    async def _run(self, app: Direct, scope: Scope) -> None:
        failure: Exception = RuntimeError("the engine's own layer gave no answer")
        try:
            await app(scope, self._receive, self._send)
        except Exception as error:  # noqa: BLE001 - any: whoever waits for the answer must hear of it
            self._failure = failure = error
        if not self.started.done():
            self.started.set_exception(failure)
        await self._parts.put(None)

    async def _receive(self) -> Message:
        if self._body is None:
            await self._gone.wait()
            return {"type": "http.disconnect"}
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(raw=list(message.get("headers", ())))
            headers.setdefault("content-type", "application/json")
            self.started.set_result((message["status"], headers))
        elif message.get("body"):
            await self._parts.put(message["body"])

    def _scope(self, path: str, length: int) -> Scope:
        # Nothing of the client's own request: no key, no request id that may not be unique.
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [
                (b"host", b"redraft"),
                (b"content-type", b"application/json"),
                (b"content-length", str(length).encode()),
            ],
            "client": None,
            "server": None,
        }


def reshaped(status: int, body: bytes, headers: Mapping[str, str] | None = None) -> ApiError:
    """The error of another server, in our form."""
    later = (headers or {}).get("retry-after")
    try:
        error = json.loads(body)["error"]
        message, param = str(error["message"]), error.get("param")
    except (ValueError, KeyError, TypeError):
        message, param = body[:200].decode("utf-8", "replace") or f"status {status}", None
    code = "rate_limit_exceeded" if status == 429 else "invalid_value"
    code = "upstream_error" if status >= 500 else code
    return ApiError(
        status,
        message,
        code=code,
        param=param if isinstance(param, str) else None,
        headers={"Retry-After": later} if later else None,
    )


def _reshaped_event(part: bytes) -> bytes:
    if not part.startswith(_ERROR_EVENT):
        return part
    event, end, rest = part.partition(b"\n\n")
    return data(reshaped(500, event.removeprefix(b"data: ")).body()) + (rest if end else b"")


async def _in_time(interrupt: Interrupt, work: Any) -> Any:
    try:
        return await interrupt.wait(work)
    except Stop as stop:
        raise NoDraft(stop.reason) from None
