"""One server for all tests of the HTTP engine, and a scene on it for each.

from tests.support.configured import upstream_at
from tests.support.http_stage import ask, stage     # stage: the fixture that keeps the server
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import pytest

from redraft.server.engine.base import (
    Call,
    Chat,
    Completion,
    EngineError,
    Message,
    Sampling,
    complete,
)
from redraft.server.engine.http_engine import HttpEngine
from tests.support.configured import upstream_at
from tests.support.serving import Served, serving
from tests.support.upstream import Scene

T = TypeVar("T")
CHAT = Chat((Message("user", "Capital of France?"),))
PATIENT: dict[str, Any] = {"backoff_s": 0.001}


@asynccontextmanager
async def connected(served: Served, **options: Any) -> AsyncIterator[HttpEngine]:
    engine = await HttpEngine.connect(upstream_at(served.v1, **(PATIENT | options)))
    try:
        yield engine
    finally:
        await engine.close()


class Stage:
    """Serves whichever scene is on; starting a server for each test would take far longer."""

    app: Any
    served: Served

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


STAGE = Stage()


@pytest.fixture(scope="module", autouse=True)
def stage() -> Iterator[None]:
    with serving(STAGE, lifespan="off") as STAGE.served:
        yield


def with_engine(scene: Scene, use: Callable[[HttpEngine], Awaitable[T]], **options: Any) -> T:
    async def run() -> T:
        async with connected(STAGE.served, **options) as engine:
            return await use(engine)

    STAGE.app = scene.app()
    return asyncio.run(run())


def ask(
    scene: Scene, prompt: Any = CHAT, sampling: Sampling | None = None, **options: Any
) -> Completion:
    call = options.pop("call", Call("test"))
    return with_engine(
        scene, lambda engine: complete(engine, prompt, sampling or Sampling(), call), **options
    )


def failure(scene: Scene, kind: type[EngineError], **options: Any) -> str:
    with pytest.raises(kind) as caught:
        ask(scene, **options)
    return str(caught.value)
