"""Warnings about a request that is answered all the same: one header, safe and short."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from redraft.server.api import warnings
from redraft.server.api.edge import Edge
from redraft.server.api.keyring import Keyring
from redraft.server.config import ServerConfig
from redraft.server.telemetry.metrics import Metrics
from tests.support.asgi import send_to


def header_after(*messages: str) -> str | None:
    """The header of a route that gives these warnings."""

    async def route(request: Request) -> Response:
        for message in messages:
            warnings.warn(request, message)
        return Response()

    app: Any = Edge(Starlette(routes=[Route("/", route)]), ServerConfig(), Metrics(), Keyring())
    answer = asyncio.run(send_to(app, "GET", "/"))
    header: str | None = answer.headers.get("redraft-warning")
    return header


def test_without_a_warning_there_is_no_header() -> None:
    assert header_after() is None


def test_all_warnings_are_in_one_header_and_none_twice() -> None:
    assert header_after("one", "two", "one") == "one; two"


@pytest.mark.parametrize(
    "mean", ["a\r\nset-cookie: b=c", "a\nb", "a\x00b", "a\x7fb", "naïve", "🌊"]
)
def test_a_warning_cannot_forge_a_header(mean: str) -> None:
    header = header_after(mean)
    assert header is not None
    assert header.isascii() and header.isprintable()
    assert len(header) == len(mean)


def test_the_header_stays_short_however_much_there_is_to_warn_of() -> None:
    header = header_after(*(f"{number} {'x' * 10_000}" for number in range(100)))
    assert header is not None
    assert len(header) < 3000
