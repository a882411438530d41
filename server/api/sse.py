"""Server-sent events, and noticing that a client has left, in streams and elsewhere.

A client that leaves ends the work for it at once, in any phase: the work runs in a block that is
cancelled from here.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager
from types import TracebackType
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from redraft.server.api.errors import ApiError, describe
from redraft.server.api.openapi import events_of
from redraft.server.config import ServerConfig
from redraft.server.engine.base import EngineError
from redraft.server.refine.events import Delta, DraftDone, Event, Finished, Thought, ToolCallsDelta
from redraft.server.refine.trace import Trace

log = logging.getLogger("redraft")

DONE = b"data: [DONE]\n\n"
COMMENT = b": keep-alive\n\n"
HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # otherwise nginx buffers the events
]

to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def data(event: Any) -> bytes:
    """One event of a stream."""
    return f"data: {to_json(event)}\n\n".encode("utf-8", "replace")


def failed(error: ApiError) -> bytes:
    """The end of a stream that failed after its start: OpenAI's clients raise on it."""
    return data(error.body()) + DONE


def streamed(*kinds: type, end: str = "") -> dict[str, Any]:
    """The documentation of a route's answer, streamed or not."""
    last = f"; the last says {end}" if end else ""
    text = f"The answer. With `stream`, events{last}."
    return {"description": text, "content": events_of(*kinds, end=end)}


class Connected:
    """``async with Connected(receive):`` the block is cancelled when the client leaves, and
    ClientDisconnect raised after it."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._leave: Callable[[], None] | None = None
        self._cancelled = False
        self.gone = False

    async def __aenter__(self) -> Connected:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._watcher = asyncio.create_task(self._watch())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._watcher.cancel()
        # Cancelled by us, and by nobody else at the same time.
        if self._cancelled and self._task.uncancel() == 0 and kind is asyncio.CancelledError:
            raise ClientDisconnect from None

    @contextmanager
    def telling(self, leave: Callable[[], None]) -> Iterator[None]:
        """Within this block ``leave`` is called instead when the client leaves."""
        self._leave = leave
        try:
            yield
        finally:
            self._leave = None

    def drop(self) -> None:
        """Take the client for gone."""
        if self.gone:
            return
        self.gone = True
        if self._leave is not None:
            self._leave()
        else:
            self._cancelled = True
            self._task.cancel()

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.drop()


async def finished(receive: Receive, events: AsyncGenerator[Event, None]) -> Trace:
    """The trace at the end of ``events``, if the client waits for it."""
    async with Connected(receive), aclosing(events):
        return await trace_of(events)


async def trace_of(events: AsyncGenerator[Event, None]) -> Trace:
    spent = False
    try:
        async for event in events:
            if isinstance(event, Finished):
                return event.trace
            spent = spent or isinstance(event, Delta | Thought | ToolCallsDelta | DraftDone)
    except EngineError as error:
        if not spent:
            raise
        raise describe(error).spent() from error
    raise RuntimeError("the loop ended without Finished")


class EventStream(Response):
    """Sends ``chunks`` as they come.

    The status line is sent with the first chunk, or with the first keep-alive comment, so that an
    earlier failure has a status of its own. ``on_error`` makes the last event of a stream that
    fails later."""

    def __init__(
        self,
        chunks: AsyncGenerator[bytes, None],
        config: ServerConfig,
        on_error: Callable[[ApiError], bytes] = failed,
    ) -> None:
        super().__init__()
        self._chunks, self._config, self._on_error = chunks, config, on_error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        stream = ClientStream(scope, send, HEADERS)
        # In this order: a client that leaves cancels both the work and the pulse.
        async with Connected(receive) as connected, aclosing(self._chunks) as chunks:
            pulse = asyncio.create_task(stream.pulse(self._config, connected.drop))
            try:
                async for chunk in chunks:
                    await stream.write(chunk)
            except Exception as error:  # any: a stream must end, or its client waits for ever
                if not stream.started:
                    raise
                await stream.write(self._on_error(failure_of(error, scope["path"])))
            finally:
                pulse.cancel()
            await stream.end()


def failure_of(error: Exception, path: str) -> ApiError:
    """What the client of a stream that has begun is sent; an unexpected error is logged."""
    described = describe(error)
    if described.code == "internal_error":
        log.error("a stream of %s failed", path, exc_info=error)
    return described


class ClientStream:
    """The body of a streamed response, and whether its reader still takes it."""

    def __init__(self, scope: Scope, send: Send, headers: list[tuple[bytes, bytes]]) -> None:
        # The wrappers around ``send`` only look at the start and the end of a response. Chunks
        # bypass them, which saves four calls for each token.
        self._send, self._send_part = send, scope.get("redraft.send", send)
        self._start = {"type": "http.response.start", "status": 200, "headers": headers}
        self._clock = asyncio.get_running_loop().time
        self._moved_at = self._clock()
        self.started = False
        self._blocked = False

    async def write(self, chunk: bytes) -> None:
        self._blocked, self._moved_at = True, self._clock()
        if not self.started:
            self.started = True
            await self._send(self._start)
        await self._send_part({"type": "http.response.body", "body": chunk, "more_body": True})
        self._blocked, self._moved_at = False, self._clock()

    async def end(self) -> None:
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def pulse(self, config: ServerConfig, drop: Callable[[], None]) -> None:
        """Write a comment after a long silence, so that no proxy closes the connection; ``drop`` a
        reader who takes nothing."""
        silence_s, stall_s = config.keep_alive_s, config.stall_s
        tick = min(filter(None, (silence_s, stall_s)), default=0)
        while tick:
            limit = stall_s if self._blocked else silence_s
            left = self._idle_s() - limit if limit else -tick
            if left < 0:
                await asyncio.sleep(min(-left, tick))
            elif self._blocked:
                drop()
                return
            else:  # in a task of its own: this write may block
                comment = asyncio.create_task(self.write(COMMENT))
                await asyncio.wait({comment}, timeout=tick)

    def _idle_s(self) -> float:
        return self._clock() - self._moved_at
