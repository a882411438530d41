"""Any OpenAI-compatible server, as a measurement sees it: bodies in, bodies and clock times out.

    async with Endpoint("http://127.0.0.1:8000/v1", "redraft").session() as session:
        body = await session.post("chat/completions", {...})
        async for seconds, chunk in session.stream("chat/completions", {...}): ...

Every call is one request unless retries are asked for, and a call that fails says why in one word,
for the count of failures.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from redraft.server.engine.sse import DONE, EventReader
from redraft.server.retry import Backoff, retry_after_s

if TYPE_CHECKING:
    import aiohttp

Body = dict[str, Any]
KEY_VARIABLE, TIMEOUT_S = "OPENAI_API_KEY", 600.0
RETRIED = (408, 409, 429, 500, 502, 503, 504)
LONGEST_WAIT_S = 60.0
IDLE_S = 2.0


class CallFailed(Exception):
    """A call without a usable reply. Failures are counted by ``reason``."""

    def __init__(self, reason: str, message: str, retry_after_s: float = math.inf) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.retry_after_s = retry_after_s  # infinity: trying again would not help


@dataclass(frozen=True, slots=True)
class Endpoint:
    url: str  # as OpenAI clients take it, /v1 included
    model: str
    key_variable: str = KEY_VARIABLE  # the key itself is in no config, file or log
    timeout_s: float = TIMEOUT_S
    retries: int = 0

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        import aiohttp

        key = os.environ.get(self.key_variable, "")
        async with aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=aiohttp.ClientTimeout(total=self.timeout_s),
            # The measurement bounds itself. Idle connections are dropped before servers drop them
            # (uvicorn after 5 s): a request that meets the end of its connection is lost.
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_S),
            read_bufsize=2**22,  # one event may carry a whole trace
        ) as client:
            yield Session(self, client)


class Session:
    def __init__(self, endpoint: Endpoint, client: aiohttp.ClientSession) -> None:
        self.endpoint = endpoint
        self._client = client

    async def post(self, path: str, body: Body) -> Body:
        """The JSON body of the reply, after as many retries as the endpoint allows."""
        backoff = Backoff(self.endpoint.retries, 1.0, LONGEST_WAIT_S)
        failures = 0
        while True:
            try:
                async with self._open(path, body) as reply:
                    content: Body = await reply.json(content_type=None)
                    return content
            except CallFailed as failed:
                failures += 1
                delay_s = backoff.delay_s(failures, failed.retry_after_s)
                if delay_s is None:
                    raise
                await asyncio.sleep(delay_s)

    async def stream(self, path: str, body: Body) -> AsyncGenerator[tuple[float, Body], None]:
        """Each event with the clock's seconds at which its last byte arrived. A stream that ends
        without [DONE] failed: what a server cut off must not count as a short answer."""
        events = EventReader()
        async with self._open(path, body) as reply:
            async for piece in reply.content.iter_any():
                at = time.perf_counter()
                for data in events.read(piece):
                    if data == DONE:
                        return
                    event = json.loads(data)
                    if error := event.get("error"):
                        raise CallFailed("stream_error", str(error)[:200])
                    yield at, event
        raise CallFailed("cut_off", "the stream ended without [DONE]")

    @asynccontextmanager
    async def _open(self, path: str, body: Body) -> AsyncIterator[aiohttp.ClientResponse]:
        import aiohttp

        url = f"{self.endpoint.url.rstrip('/')}/{path}"
        try:
            async with self._client.post(url, json=body) as reply:
                if reply.status != 200:
                    text = (await reply.text())[:300]
                    raise CallFailed(f"http_{reply.status}", text, _retry_after(reply))
                yield reply
        except TimeoutError as error:
            raise CallFailed("timeout", f"over {self.endpoint.timeout_s:g} s", 0.0) from error
        except aiohttp.ClientError as error:
            raise CallFailed("connection", f"{url}: {error}", 0.0) from error
        except json.JSONDecodeError as error:
            raise CallFailed("not_json", f"{url}: {error}") from error


def _retry_after(reply: aiohttp.ClientResponse) -> float:
    """Seconds to wait before a retry; infinity if retrying is pointless."""
    return (retry_after_s(reply.headers) or 0.0) if reply.status in RETRIED else math.inf
