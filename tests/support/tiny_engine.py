"""A VllmEngine on the tiny model, for any test module:

    @pytest.fixture(scope="module")
    def running(tmp_path_factory):
        with running_engine(tmp_path_factory.mktemp("model")) as running:
            yield running

    def test_it_answers(running):
        completion = running.run(complete(running.engine, prompt, sampling, call))

The engine lives on an event loop of its own in a thread, so that many tests can share it.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import queue
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from redraft.server.engine.base import Call, Chat, Completion, Message, Prompt, Sampling, complete
from redraft.server.engine.vllm_engine import VllmEngine, VllmSettings
from tests.support import tiny_model

T = TypeVar("T")
WAIT_S = 240

ASK = Chat((Message("user", "Name four animals in alphabetical order."),))
# The model's random words, but always as many as asked for.
FREE = Sampling(temperature=1.0, seed=1, ignore_eos=True, max_tokens=40)


@dataclass
class Running:
    """An engine, its loop, and what it has reported."""

    engine: VllmEngine
    loop: asyncio.AbstractEventLoop
    reports: queue.Queue[str]

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(WAIT_S)

    def heard(self, what: str) -> bool:
        """Wait until the engine reports it."""
        while what not in self.reports.get(timeout=WAIT_S):
            pass
        return True


def tiny_settings(directory: Path, **changes: Any) -> VllmSettings:
    """Settings for the tiny model in ``directory``, which is written if it is empty."""
    if not (directory / "config.json").exists():
        tiny_model.build(directory)
    quiet = {"warm_up": False}  # its calls would be among those that tests count
    chosen = {"served_name": "tiny", "kv_cache_memory_bytes": 64 << 20, **quiet, **changes}
    return VllmSettings(directory, **chosen)


@contextmanager
def running_engine(directory: Path, **changes: Any) -> Iterator[Running]:
    settings = tiny_settings(directory, **changes)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="engine", daemon=True)
    thread.start()
    reports: queue.Queue[str] = queue.Queue()
    try:
        starting = VllmEngine.start(settings, reports.put)
        engine = asyncio.run_coroutine_threadsafe(starting, loop).result(WAIT_S)
        running = Running(engine, loop, reports)
        try:
            yield running
        finally:
            running.run(engine.close())
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def changed(**fields: Any) -> Sampling:
    return replace(FREE, **fields)


def ask(running: Running, sampling: Sampling = FREE, prompt: Prompt = ASK) -> Completion:
    return running.run(complete(running.engine, prompt, sampling, Call("ask")))


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what no event tells; far longer than it should take."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


def engine_processes() -> set[Any]:
    """The processes of the engines this process runs."""
    import psutil

    # By the name the parent gave: what a process calls itself may not show from outside.
    engines = {
        child.pid for child in multiprocessing.active_children() if child.name == "EngineCore"
    }
    return {child for child in psutil.Process().children() if child.pid in engines}
