"""The typed clients of a Redraft server: ``Redraft`` blocks, ``AsyncRedraft`` awaits.

from redraft import AsyncRedraft, Redraft

with Redraft("http://127.0.0.1:8000") as client:
    print(client.refine("What is the total of 25, 8, 34, 22?").answer)

async with AsyncRedraft() as client:
    async for event in client.stream_refine("And now 5."):
        print(event.text, end="")
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Generator
from itertools import count
from typing import Self, Unpack

import httpx

from redraft.clients.calls import ApiCall, ClientBase, HttpOptions, T
from redraft.clients.wire import (
    Event,
    EventLines,
    Feedback,
    Instruction,
    Refined,
    RefineOptions,
    error_of,
    event_of,
)


class Redraft(ClientBase):
    """The client for scripts and notebooks: each method returns when the server has answered."""

    def refine(self, instruction: Instruction, **options: Unpack[RefineOptions]) -> Refined:
        """The answer and how the server arrived at it."""
        return self._send(self._refine_call(instruction, options))

    def stream_refine(
        self, instruction: Instruction, **options: Unpack[RefineOptions]
    ) -> Generator[Event, None, None]:
        """Every phase as it is written; the last event holds the complete answer. Closing the
        generator early stops the server's work on it."""
        body = self._stream_body(instruction, options)
        try:
            with self._http.stream("POST", "/v1/refine", json=body) as response:
                if response.status_code != 200:
                    raise error_of(response.status_code, response.read())
                lines = EventLines()
                for piece in response.iter_bytes():
                    for line in lines.read(piece):
                        if event := event_of(line):
                            yield event
        except httpx.TransportError as error:
            raise self._unreachable(error) from error

    def feedback(
        self, instruction: Instruction, response: str, *, critic: str | None = None
    ) -> Feedback:
        """Feedback on a response, from the model or from one of the server's critics."""
        return self._send(self._feedback_call(instruction, response, critic))

    def models(self) -> list[str]:
        """The model names a request may use, suffixes included."""
        return self._send(self._models_call())

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _open(self, options: HttpOptions) -> None:
        self._http = httpx.Client(**options)

    def _send(self, call: ApiCall[T]) -> T:
        for tries in count():
            try:
                response = self._http.request(call.method, call.path, json=call.body)
            except httpx.TransportError as error:
                raise self._unreachable(error) from error
            if response.status_code == 200:
                break
            time.sleep(self._pause_s(response, tries))
        return call.read(response.json())


class AsyncRedraft(ClientBase):
    """The client for asyncio programs: the methods of ``Redraft``, awaited."""

    async def refine(self, instruction: Instruction, **options: Unpack[RefineOptions]) -> Refined:
        """The answer and how the server arrived at it."""
        return await self._send(self._refine_call(instruction, options))

    async def stream_refine(
        self, instruction: Instruction, **options: Unpack[RefineOptions]
    ) -> AsyncGenerator[Event, None]:
        """Every phase as it is written; the last event holds the complete answer. Closing the
        generator early stops the server's work on it."""
        body = self._stream_body(instruction, options)
        try:
            async with self._http.stream("POST", "/v1/refine", json=body) as response:
                if response.status_code != 200:
                    raise error_of(response.status_code, await response.aread())
                lines = EventLines()
                async for piece in response.aiter_bytes():
                    for line in lines.read(piece):
                        if event := event_of(line):
                            yield event
        except httpx.TransportError as error:
            raise self._unreachable(error) from error

    async def feedback(
        self, instruction: Instruction, response: str, *, critic: str | None = None
    ) -> Feedback:
        """Feedback on a response, from the model or from one of the server's critics."""
        return await self._send(self._feedback_call(instruction, response, critic))

    async def models(self) -> list[str]:
        """The model names a request may use, suffixes included."""
        return await self._send(self._models_call())

    async def close(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    def _open(self, options: HttpOptions) -> None:
        self._http = httpx.AsyncClient(**options)

    async def _send(self, call: ApiCall[T]) -> T:
        for tries in count():
            try:
                response = await self._http.request(call.method, call.path, json=call.body)
            except httpx.TransportError as error:
                raise self._unreachable(error) from error
            if response.status_code == 200:
                break
            await asyncio.sleep(self._pause_s(response, tries))
        return call.read(response.json())
