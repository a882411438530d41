"""Direct mode: requests that the loop cannot serve (``unsupported.DIRECT``, several prompts), and
what it need not (``n`` above 1 without refinement), go to the engine's own OpenAI application,
whose answer is forwarded with errors in our form.

Admission, metrics, drain and disconnects hold for these requests as for all others.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from redraft.server.api import unsupported
from redraft.server.api.decide import Decision
from redraft.server.api.depends import Context
from redraft.server.api.errors import ApiError, invalid
from redraft.server.api.sse import HEADERS, ClientStream, Connected, data, failed, failure_of
from redraft.server.config import ServerConfig
from redraft.server.engine.base import Direct
from redraft.server.engine.overflow import in_openais_words
from redraft.server.engine.surrogates import whole
from redraft.server.refine.interrupt import Interrupt
from redraft.server.refine.loop import NoDraft
from redraft.server.retry import retry_after_s
from redraft.server.service import Service

OURS = ("refine", "reasoning", "reasoning_effort")  # decided here; the engine's layer knows none
_ROUTES = {"/v1/chat/completions": "chat", "/v1/completions": "completions"}
_ERROR_EVENT = b'data: {"error"'
_TOTAL_TOKENS = re.compile(rb'"total_tokens": ?(\d+)')
LEAVING_S = 2.0  # for the layer to stop when it is told that its client has left


async def forward(
    context: Context, decision: Decision, needed_by: str, effort: str | None = None
) -> Response:
    """The answer of the engine's own application; ``needed_by`` is the field that needs it.
    ``effort``: what the model itself is told about how much to think."""
    if decision.model.direct is None:
        raise unsupported.no_layer(needed_by)
    payload = {k: v for k, v in (await context.request.json()).items() if k not in OURS}
    payload["model"] = decision.model.direct_name
    if effort is not None:
        payload["reasoning_effort"] = effort
    return Forwarded(context.service, context.config, context.client, decision, payload)


class Forwarded(Response):
    """The answer of the engine's own application to one request, forwarded while it arrives."""

    def __init__(
        self,
        service: Service,
        settings: ServerConfig,
        client: str,
        decision: Decision,
        payload: dict[str, Any],
    ) -> None:
        super().__init__()
        self._service, self._settings = service, settings
        self._client, self._decision = client, decision
        self._payload = payload

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._payload.get("stream"):
            await self._stream(scope, receive, send)
            return
        async with Connected(receive) as connected:
            exchange = _Exchange(self._payload)
            await self._run(scope["path"], exchange, connected)
        media_type = exchange.headers.get("content-type", "application/json")
        whole = Response(bytes(exchange.body), exchange.status, media_type=media_type)
        await whole(scope, receive, send)

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, stream = scope["path"], ClientStream(scope, send, HEADERS)
        async with Connected(receive) as connected:
            pulse = asyncio.create_task(stream.pulse(self._settings, connected.drop))
            try:
                await self._run(path, _Exchange(self._payload, stream), connected)
            except Exception as error:  # any: a stream must end, or its client waits for ever
                if connected.gone or not stream.started:
                    raise
                await stream.write(failed(failure_of(error, path)))
            finally:
                pulse.cancel()
            await stream.end()

    async def _run(self, path: str, exchange: _Exchange, connected: Connected) -> None:
        """Return when the answer is complete; raise whatever ends it earlier."""
        place = self._service.place(_ROUTES[path], self._client, self._decision.deadline_ms)
        async with place as (interrupt, watch):
            try:
                await exchange.run(self._decision.model.direct, path, interrupt, connected)
            finally:
                watch.forwarded_tokens = exchange.tokens
            watch.forwarded()


class _Exchange:
    """One request and its answer, as an ASGI application sees them. The answer goes to ``stream``
    part by part, or into ``body``."""

    def __init__(self, payload: dict[str, Any], stream: ClientStream | None = None) -> None:
        self.status = 0
        self.headers = Headers()
        self.body = bytearray()
        self.tokens = 0  # read and written, as far as the application says
        self._stream_to = stream
        self._payload = json.dumps(payload).encode()
        self._asked = self._complete = False
        self._left = asyncio.Event()  # before the answer was complete

    async def run(self, app: Direct, path: str, interrupt: Interrupt, connected: Connected) -> None:
        """Return when the answer is complete. When the client leaves or the server interrupts, the
        application receives a disconnect: one that works in tasks of its own stops them then, and
        would not if it were only cancelled."""
        loop = asyncio.get_running_loop()

        def leave() -> None:
            if not self._complete and not self._left.is_set():
                self._left.set()
                patience.reschedule(loop.time() + LEAVING_S)

        try:
            async with asyncio.timeout(None) as patience:
                with connected.telling(leave), interrupt.calling(leave):
                    await app(self._scope(path), self._receive, self._send)
        except Exception:  # any: an application that is told its client has left may fail in it
            if not self._left.is_set():
                raise
        if connected.gone:
            raise ClientDisconnect
        if self._left.is_set():
            raise NoDraft(interrupt.reason or "deadline")
        if not self.status:
            raise RuntimeError("the engine's own layer gave no answer")
        if self.status >= 400:
            raise reshaped(self.status, bytes(self.body), self.headers, path)

    async def _receive(self) -> Message:
        if self._asked:
            await self._left.wait()
            return {"type": "http.disconnect"}
        self._asked = True
        return {"type": "http.request", "body": self._payload, "more_body": False}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = Headers(raw=list(message.get("headers", ())))
            return
        if part := message.get("body"):
            # An event is a token, more or less; the answer, or its last event, tells the sum.
            totals = _TOTAL_TOKENS.findall(part)
            self.tokens = int(totals[-1]) if totals else self.tokens + 1
            if self._stream_to is None or self.status >= 400:
                self.body += part
            else:
                await self._stream_to.write(_reshaped_events(part))
        self._complete = not message.get("more_body", False)

    def _scope(self, path: str) -> Scope:
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
                (b"content-length", str(len(self._payload)).encode()),
            ],
            "client": None,
            "server": None,
        }


def reshaped(
    status: int, body: bytes, headers: Mapping[str, str] | None = None, path: str = ""
) -> ApiError:
    """The error of another server, in our form."""
    later = _later(headers or {})
    try:
        error = json.loads(body)["error"]
        message, param, theirs = str(error["message"]), error.get("param"), error.get("code")
    except (ValueError, KeyError, TypeError):
        message = body[:200].decode("utf-8", "replace") or f"status {status}"
        param = theirs = None
    if status in (400, 413) and (overflow := in_openais_words(message, str(theirs))):
        prompt = "prompt" if path.endswith("/v1/completions") else "messages"
        return invalid(prompt, overflow, "context_length_exceeded")
    code = "rate_limit_exceeded" if status == 429 else "invalid_value"
    code = "upstream_error" if status >= 500 else code
    return ApiError(
        status,
        whole(message),
        code=code,
        param=param if isinstance(param, str) else None,
        headers=None if later is None else {"Retry-After": str(later)},
    )


def _later(headers: Mapping[str, str]) -> int | None:
    """The wait another server asks for, as ours does: 1 to 120 seconds."""
    seconds = retry_after_s(headers)
    return None if seconds is None else round(min(120.0, max(1.0, seconds)))


def _reshaped_events(part: bytes) -> bytes:
    if _ERROR_EVENT not in part:
        return part
    events = part.split(b"\n\n")
    return b"\n\n".join(
        data(reshaped(500, event.removeprefix(b"data: ")).body()).rstrip()
        if event.startswith(_ERROR_EVENT)
        else event
        for event in events
    )
