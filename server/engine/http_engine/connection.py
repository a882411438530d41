"""Connection: the one pooled HTTP client; errors of httpx leave it as EngineErrors."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from functools import cache
from typing import Any

import httpx

from redraft.server.engine.base import EngineUnavailable
from redraft.server.engine.http_engine.answer import Retryable, error_from
from redraft.server.engine.http_engine.upstream import Upstream
from redraft.server.engine.sse import DONE, EventReader
from redraft.server.retry import retry_after_s

Wait = Callable[[], float]  # -> the seconds the next bytes may take

END_S = 1.0  # between [DONE] and the end of the answer
LONGEST_EVENT = LONGEST_ANSWER = 1 << 24  # bytes; a longer one is an error


class Connection:
    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        key = {"Authorization": f"Bearer {upstream.api_key}"} if upstream.api_key else {}
        self._client = httpx.AsyncClient(
            headers={"User-Agent": "redraft", "Accept-Encoding": "identity", **key},
            timeout=httpx.Timeout(None, connect=upstream.connect_s),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=64),
            verify=_trusted(),
        )

    def between_s(self) -> float:
        """The longest wait for more bytes after the first."""
        return self._upstream.between_s

    async def close(self) -> None:
        await self._client.aclose()

    def _check_open(self) -> None:
        if self._client.is_closed:
            raise EngineUnavailable(f"engine {self._upstream.name!r} was closed")

    @asynccontextmanager
    async def send(
        self, method: str, url: str, body: bytes | None, headers: Mapping[str, str], wait_s: float
    ) -> AsyncIterator[httpx.Response]:
        """The upstream's answer, whatever its status. Leaving the block before all of it was
        read closes the connection, which makes the upstream stop."""
        self._check_open()
        kind = {} if body is None else {"Content-Type": "application/json"}
        request = self._client.build_request(method, url, content=body, headers={**headers, **kind})
        try:
            async with asyncio.timeout(wait_s):
                response = await self._client.send(request, stream=True)
        except TimeoutError:
            raise Retryable(f"the upstream did not answer within {wait_s:g} s") from None
        except httpx.HTTPError as error:
            raise Retryable("cannot reach the upstream", _reason(error)) from error
        try:
            yield response
        finally:
            await response.aclose()

    async def ask(self, method: str, url: str, body: Any, wait_s: float) -> Any:
        """The JSON answer to a small request."""
        encoded = None if body is None else json.dumps(body).encode()
        async with self.send(method, url, encoded, {}, wait_s) as response:
            content = await self._whole(response, f"to {method} {response.url.path}")
        try:
            return json.loads(content)
        except (ValueError, RecursionError) as error:
            shown = repr(content[:120])
            raise EngineUnavailable("the upstream answered no JSON", shown) from error

    async def events(
        self, url: str, body: Any, headers: Mapping[str, str], wait_s: Wait
    ) -> AsyncGenerator[bytes, None]:
        """The data of each server-sent event of one streamed answer."""
        encoded = json.dumps(body).encode()
        async with self.send("POST", url, encoded, headers, wait_s()) as response:
            kind = response.headers.get("content-type", "nothing")
            if response.status_code >= 400 or not kind.startswith("text/event-stream"):
                content = await self._whole(response, "to a completion")
                raise EngineUnavailable(
                    f"the upstream answered {response.status_code}, and no stream",
                    f"{kind}, {content[:120]!r}",
                )
            events = EventReader()
            async with aclosing(self.pieces(response, wait_s)) as pieces:
                async for piece in pieces:
                    ended = events.read(piece)
                    for data in ended:
                        self._check_open()  # after a close, buffered events are dropped
                        yield data
                    if DONE in ended:
                        # The pool reuses a connection only when its answer was read to the end.
                        with suppress(TimeoutError, Retryable):
                            async with asyncio.timeout(END_S):
                                async for _ in pieces:
                                    pass
                        return
                    if events.num_unfinished > LONGEST_EVENT:
                        raise EngineUnavailable("the upstream sent an event without an end")

    async def pieces(self, response: httpx.Response, wait_s: Wait) -> AsyncGenerator[bytes, None]:
        """The bytes of an answer as they arrive."""
        body = response.aiter_bytes()
        while True:
            longest = wait_s()
            try:
                async with asyncio.timeout(longest):
                    piece = await anext(body, None)
            except TimeoutError:
                raise Retryable(f"the upstream sent nothing for {longest:g} s") from None
            except (httpx.HTTPError, httpx.StreamError) as error:
                raise Retryable("lost the upstream", _reason(error)) from error
            if piece is None:
                return
            yield piece

    async def _whole(self, response: httpx.Response, where: str) -> bytes:
        """All bytes of an answer; EngineError when its status is an error."""
        content = b""
        async with aclosing(self.pieces(response, self.between_s)) as pieces:
            async for piece in pieces:
                content += piece
                if len(content) > LONGEST_ANSWER:
                    raise EngineUnavailable(f"the upstream's answer {where} has no end")
        if response.status_code < 400:
            return content
        content = self.without_key(content)
        raise error_from(response.status_code, content, where, retry_after_s(response.headers))

    def without_key(self, content: bytes) -> bytes:
        """Some quote it: "Incorrect API key provided: ..." """
        key = (self._upstream.api_key or "").encode()
        return content.replace(key, b"***") if key else content


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__


@cache
def _trusted() -> ssl.SSLContext:
    """Reading the certificates takes longer than all else that a connection needs: once."""
    return httpx.create_ssl_context()
