"""The typed client of a Redraft server, async and sync.

async with Redraft("http://127.0.0.1:8000") as redraft:
    refined = await redraft.refine("What is the total of 25, 8, 34, 22?")
    async for event in redraft.stream_refine("And now 5."):
        print(event.text, end="")

with SyncRedraft() as redraft:
    print(redraft.refine("What is the total of 25, 8, 34, 22?").answer)
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Generator
from types import TracebackType
from typing import Any, Self, Unpack

import httpx

from redraft.clients.wire import (
    Event,
    FeedbackGiven,
    Instruction,
    RedraftError,
    Refined,
    RefineOptions,
    body_for,
    error_of,
    event_of,
)

URL = "http://127.0.0.1:8000"
RETRIES = 2
LONGEST_WAIT_S = 120.0  # the server never asks for more


class _Connection:
    """What both clients share: where the server is, and what a failure means."""

    def __init__(
        self, url: str, api_key: str | None, model: str | None, timeout_s: float, retries: int
    ) -> None:
        self.url = url.rstrip("/").removesuffix("/v1")
        self.model = model
        self.retries = retries
        key = os.environ.get("OPENAI_API_KEY") if api_key is None else api_key
        self.options: dict[str, Any] = {
            "base_url": self.url,
            "timeout": httpx.Timeout(timeout_s, connect=10),
            "headers": {"Authorization": f"Bearer {key}"} if key else {},
        }

    def body(self, given: Instruction, **fields: Any) -> dict[str, Any]:
        return body_for(given, model=self.model, **fields)

    def unreachable(self, error: httpx.TransportError) -> RedraftError:
        return RedraftError(f"no answer from {self.url}: {error or type(error).__name__}")

    def wait_s(self, response: httpx.Response, tries: int) -> float | None:
        """Seconds until the next try; None when there is none to make."""
        if response.status_code not in (429, 503) or tries >= self.retries:
            return None
        if response.headers.get("x-should-retry") == "false":
            return None
        return min(LONGEST_WAIT_S, float(response.headers.get("retry-after", 2**tries)))


class Redraft:
    """The async client. ``model`` may carry a suffix, ``name:refine-2``; left out, the server's
    only model answers. The key comes from OPENAI_API_KEY unless given."""

    def __init__(
        self,
        url: str = URL,
        *,
        api_key: str | None = None,
        model: str | None = None,
        timeout_s: float = 600.0,
        retries: int = RETRIES,
    ) -> None:
        self._connection = _Connection(url, api_key, model, timeout_s, retries)
        self._http = httpx.AsyncClient(**self._connection.options)

    async def refine(self, given: Instruction, **options: Unpack[RefineOptions]) -> Refined:
        """The answer, and how it came about."""
        body = self._connection.body(given, **options)
        return Refined.of(await self._post("/v1/refine", body))

    async def stream_refine(
        self, given: Instruction, **options: Unpack[RefineOptions]
    ) -> AsyncGenerator[Event, None]:
        """Every phase as it is written; the last event holds the whole answer. Closing it early
        ends the server's work."""
        body = self._connection.body(given, stream=True, **options)
        try:
            async with self._http.stream("POST", "/v1/refine", json=body) as response:
                if response.status_code != 200:
                    await response.aread()
                    raise error_of(response.status_code, response.content)
                async for line in response.aiter_lines():
                    if event := event_of(line):
                        yield event
        except httpx.TransportError as error:
            raise self._connection.unreachable(error) from error

    async def feedback(
        self, given: Instruction, response: str, *, critic: str | None = None
    ) -> FeedbackGiven:
        """What the model, or a critic the server knows by name, says about a response."""
        body = self._connection.body(given, response=response, critic=critic)
        return FeedbackGiven.of(await self._post("/v1/feedback", body))

    async def models(self) -> list[str]:
        """The names a request may use, suffixes included."""
        listed = await self._send(self._http.build_request("GET", "/v1/models"))
        return [model["id"] for model in listed["data"]]

    async def close(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        await self.close()

    async def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return await self._send(self._http.build_request("POST", path, json=body))

    async def _send(self, request: httpx.Request) -> dict[str, Any]:
        tries = 0
        while True:
            try:
                response = await self._http.send(request)
            except httpx.TransportError as error:
                raise self._connection.unreachable(error) from error
            if response.status_code == 200:
                return dict(response.json())
            wait_s = self._connection.wait_s(response, tries)
            if wait_s is None:
                raise error_of(response.status_code, response.content)
            tries += 1
            await asyncio.sleep(wait_s)


class SyncRedraft:
    """The same without await, for scripts and notebooks."""

    def __init__(
        self,
        url: str = URL,
        *,
        api_key: str | None = None,
        model: str | None = None,
        timeout_s: float = 600.0,
        retries: int = RETRIES,
    ) -> None:
        self._connection = _Connection(url, api_key, model, timeout_s, retries)
        self._http = httpx.Client(**self._connection.options)

    def refine(self, given: Instruction, **options: Unpack[RefineOptions]) -> Refined:
        body = self._connection.body(given, **options)
        return Refined.of(self._send(self._http.build_request("POST", "/v1/refine", json=body)))

    def stream_refine(
        self, given: Instruction, **options: Unpack[RefineOptions]
    ) -> Generator[Event, None, None]:
        body = self._connection.body(given, stream=True, **options)
        try:
            with self._http.stream("POST", "/v1/refine", json=body) as response:
                if response.status_code != 200:
                    raise error_of(response.status_code, response.read())
                for line in response.iter_lines():
                    if event := event_of(line):
                        yield event
        except httpx.TransportError as error:
            raise self._connection.unreachable(error) from error

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def _send(self, request: httpx.Request) -> dict[str, Any]:
        tries = 0
        while True:
            try:
                response = self._http.send(request)
            except httpx.TransportError as error:
                raise self._connection.unreachable(error) from error
            if response.status_code == 200:
                return dict(response.json())
            wait_s = self._connection.wait_s(response, tries)
            if wait_s is None:
                raise error_of(response.status_code, response.content)
            tries += 1
            time.sleep(wait_s)
