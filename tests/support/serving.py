"""Serves an app on a real socket for a test: uvicorn on a free port of the loopback, in a thread.

with serving(app) as served:
    httpx.get(served.url + "/health")
    served.call(engine.close())            a coroutine, run on the server's event loop
with answering(ScriptedEngine("Paris"), max_iterations=0) as served:
    openai.OpenAI(base_url=served.v1, api_key="none")
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import uvicorn

from redraft.server.api.app import build_app
from redraft.server.api.keys import ApiKey
from redraft.server.config import ServerConfig
from redraft.server.engine.base import Call
from redraft.server.engine.scripted_engine import ScriptedEngine
from redraft.server.service import Service
from tests.support.asgi import srt_model

T = TypeVar("T")
START_S, STOP_S, CALL_S = 180, 120, 180  # far more than any of them takes


@dataclass(frozen=True)
class Served:
    url: str  # http://127.0.0.1:PORT, no slash at the end
    port: int
    loop: asyncio.AbstractEventLoop  # the server's

    @property
    def v1(self) -> str:
        """The base_url of an OpenAI client."""
        return f"{self.url}/v1"

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of ``work``, run on the server's event loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(CALL_S)

    def until(self, condition: Callable[[], bool]) -> None:
        """Return when ``condition`` holds; the event loop checks it between its steps."""

        async def wait() -> None:
            async with asyncio.timeout(CALL_S):
                while not condition():  # noqa: ASYNC110 - no event announces it
                    await asyncio.sleep(0.002)

        self.call(wait())

    def now(self, function: Any, *arguments: Any) -> None:
        """Have the server's event loop call ``function`` (to set an asyncio.Event, say)."""
        self.loop.call_soon_threadsafe(function, *arguments)


class _Server(uvicorn.Server):
    """Announces that it listens, and on which event loop. Ends at once when it is told to, where
    uvicorn's own looks every tenth of a second."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = threading.Event()
        self.loop: asyncio.AbstractEventLoop | None = None
        self._ended = asyncio.Event()

    async def main_loop(self) -> None:
        await self.on_tick(0)
        await self._ended.wait()

    def end(self) -> None:
        self.should_exit = True  # for one that has not started
        if self.loop is not None:
            self.loop.call_soon_threadsafe(self._ended.set)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self.loop = asyncio.get_running_loop()
        await super().startup(sockets=sockets)
        self.listening.set()


@contextmanager
def serving(app: Any, at: int = 0, **options: Any) -> Iterator[Served]:
    """``at``: the port; 0: a free one. ``options`` go to uvicorn.Config."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", at))
    port = listener.getsockname()[1]
    settings: dict[str, Any] = {"log_level": "warning", "access_log": False}
    settings |= {"timeout_keep_alive": 300, "timeout_graceful_shutdown": 60}
    server = _Server(uvicorn.Config(app, **(settings | options)))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        if not server.listening.wait(START_S):
            raise RuntimeError("the app did not start; its log says why")
        assert server.loop is not None
        yield Served(f"http://127.0.0.1:{port}", port, server.loop)
    finally:
        server.end()
        thread.join(STOP_S)
        listener.close()
    if thread.is_alive():
        raise RuntimeError("the server did not stop: some request never ended")


@contextmanager
def answering(
    engine: ScriptedEngine,
    service: Service | None = None,
    keys: Sequence[ApiKey] = (),
    **config: Any,
) -> Iterator[Served]:
    """The whole API over a scripted engine; ``config`` goes to ServerConfig."""
    service = service or Service(srt_model(engine))
    with serving(build_app(ServerConfig(**config), service, keys)) as served:
        yield served


class Pause:
    """A gate for the scripted engine: stops it at one token of one phase.

    ``phase`` is part of the call's id ("draft-0", "feedback-1", "refinement-1")."""

    def __init__(self, phase: str, position: int = 1) -> None:
        self.phase, self.position = phase, position
        self.reached, self.left = threading.Event(), threading.Event()
        self._go = asyncio.Event()

    async def __call__(self, call: Call, position: int) -> None:
        if self.phase in call.request_id and position == self.position:
            self.reached.set()
            try:
                await self._go.wait()
            finally:
                self.left.set()

    def wait_reached(self) -> None:
        assert self.reached.wait(CALL_S), f"the engine never came to {self.phase}"

    def wait_left(self) -> None:
        """The engine is at work no more."""
        assert self.left.wait(CALL_S), f"the engine is still in {self.phase}"

    def release(self, served: Served) -> None:
        served.now(self._go.set)
