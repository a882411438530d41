"""Every engine, running, for the tests that hold for all of them. A new engine gets a row."""

from __future__ import annotations

import asyncio
import re
import threading
import zlib
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx

from redraft.server.engine.base import Engine, Sampling
from redraft.server.engine.http_engine import HttpEngine, Upstream
from redraft.server.engine.scripted_engine import ScriptedEngine
from tests.support import tiny_model
from tests.support.serving import serving
from tests.support.upstream import WINDOW, Scene
from tests.support.vllm_server import vllm_server

T = TypeVar("T")
WAIT_S = 240


@dataclass(frozen=True)
class Running:
    """An engine on an event loop of its own."""

    engine: Engine
    run: Callable[[Coroutine[Any, Any, Any]], Any]
    num_running: Callable[[], int]  # completions in progress, as whoever generates them counts
    decode: Callable[[Iterable[int]], str]


Row = Callable[[Path], AbstractContextManager[Running]]


def essay(prompt: str, sampling: Sampling | None = None) -> str:
    """Forty words that depend on the prompt."""
    seed = zlib.crc32(prompt.encode())
    return " ".join(f"w{seed % (97 + i)}.{i}" for i in range(40))


@contextmanager
def _loop() -> Iterator[Callable[[Coroutine[Any, Any, T]], T]]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield lambda work: asyncio.run_coroutine_threadsafe(work, loop).result(WAIT_S)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextmanager
def scripted(directory: Path, has_tokens: bool = True) -> Iterator[Running]:
    engine = ScriptedEngine(reply=essay, window=WINDOW, has_tokens=has_tokens)
    with _loop() as run:
        yield Running(engine, run, lambda: engine.running, engine.decode)


def scripted_chat(directory: Path) -> AbstractContextManager[Running]:
    return scripted(directory, has_tokens=False)


@contextmanager
def http(directory: Path, vllm: bool = True) -> Iterator[Running]:
    scene = Scene(reply=essay, vllm=vllm)
    with serving(scene.app()) as served, _loop() as run:
        engine = run(HttpEngine.connect(Upstream(served.v1)))
        yield Running(engine, run, lambda: scene.generating, scene.words.decode)
        run(engine.close())


def http_chat(directory: Path) -> AbstractContextManager[Running]:
    return http(directory, vllm=False)


@contextmanager
def vllm(directory: Path) -> Iterator[Running]:
    from tests.support.tiny_engine import running_engine

    with running_engine(directory) as running:
        engine = running.engine
        yield Running(engine, running.run, engine.num_unfinished, tiny_model.decode)


@contextmanager
def http_to_vllm(directory: Path) -> Iterator[Running]:
    model = tiny_model.build(directory / "model")
    with vllm_server(model, directory / "log") as url, _loop() as run:
        engine = run(HttpEngine.connect(Upstream(url)))
        yield Running(engine, run, lambda: _requests_at(url), tiny_model.decode)
        run(engine.close())


def _requests_at(url: str) -> int:
    metrics = httpx.get(url.removesuffix("/v1") + "/metrics", timeout=60).text
    counts = re.findall(r"^vllm:num_requests_(?:running|waiting)\{.*\} (\S+)$", metrics, re.M)
    return sum(int(float(count)) for count in counts)
