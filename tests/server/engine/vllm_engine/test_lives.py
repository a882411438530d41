"""Many completions at once, callers that go away, and an engine that dies, on a tiny model.
Spans: server/engine/vllm_engine"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from redraft.server.engine.base import Call, Chat, Completion, EngineUnavailable, Message, complete
from tests.server.engine.vllm_engine.test_direct import chat_body, direct
from tests.support import tiny_model
from tests.support.faults import fault
from tests.support.tiny_engine import ASK, Running, ask, changed, engine_processes, running_engine

pytestmark = pytest.mark.vllm


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model.build(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def running(model: Path) -> Iterator[Running]:
    with running_engine(model) as running:
        yield running


def test_sixty_four_completions_at_once_keep_apart(running: Running) -> None:
    from prometheus_client import REGISTRY

    def generated() -> float:
        values = [
            sample.value
            for metric in REGISTRY.collect()
            for sample in metric.samples
            if sample.name == "vllm:generation_tokens_total"
        ]
        return sum(values)

    async def all_of_them() -> list[Completion]:
        calls = [
            complete(running.engine, ASK, changed(seed=n, max_tokens=20 + n), Call(f"call-{n}"))
            for n in range(64)
        ]
        return await asyncio.gather(*calls)

    before = generated()
    completions = running.run(all_of_them())
    counts = [completion.usage.completion_tokens for completion in completions]
    assert counts == [20 + n for n in range(64)]
    assert sum(counts) == generated() - before
    assert running.engine.num_unfinished() == 0
    for completion in completions:
        assert tiny_model.decode(completion.token_ids) == completion.text


def test_closing_the_iterator_leaves_the_engine_idle(running: Running) -> None:
    async def leave_early() -> int:
        stream = running.engine.generate(ASK, changed(max_tokens=3000), Call("left"))
        async for _ in stream:
            break
        assert running.engine.num_unfinished() == 1
        await stream.aclose()
        return running.engine.num_unfinished()

    assert running.run(leave_early()) == 0


def test_cancelling_the_caller_leaves_the_engine_idle(running: Running) -> None:
    async def cancel() -> int:
        begun = asyncio.Event()

        async def read() -> None:
            async for _ in running.engine.generate(ASK, changed(max_tokens=3000), Call("gone")):
                begun.set()

        reading = asyncio.create_task(read())
        async with asyncio.timeout(180):
            await begun.wait()
        reading.cancel()
        await asyncio.wait({reading})
        assert reading.cancelled()
        return running.engine.num_unfinished()

    assert running.run(cancel()) == 0


def asked_twice(running: Running) -> str:
    """What is said with the prompt in the cache: read in other steps, a random model may notice
    it in the last digit."""
    ask(running)
    return ask(running).text


@fault(
    "Engine",
    "kill -9 of the engine's process",
    sees="its best, with `stop_reason` `engine_failure`; without a draft an error, 503",
    lost="the phases that were to come",
    recovers="is started again at once; `/ready` fails meanwhile",
)
def test_an_engine_whose_process_is_killed_comes_back(running: Running) -> None:
    before = asked_twice(running)

    async def killed_meanwhile() -> None:
        async for _ in running.engine.generate(ASK, changed(max_tokens=3000), Call("dies")):
            for process in engine_processes():
                os.kill(process.pid, signal.SIGKILL)

    with pytest.raises(EngineUnavailable):
        running.run(killed_meanwhile())
    with pytest.raises(EngineUnavailable, match="restarted"):
        running.run(running.engine.check())
    with pytest.raises(EngineUnavailable, match="restarted"):
        ask(running)
    assert running.heard("is back")
    running.run(running.engine.check())
    assert asked_twice(running) == before
    assert direct(running, "/v1/chat/completions", chat_body())[0] == 200


def test_an_engine_that_was_replaced_leaves_no_tokenizer_behind(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import PreTrainedTokenizerBase

    # pytest keeps the errors that are logged, and with their frames the engine.
    monkeypatch.setattr(logging.getLogger("vllm.v1.engine.async_llm"), "disabled", True)

    def replaced(running: Running) -> int:
        """The tokenizers in memory when another engine runs."""
        for process in engine_processes() - already:
            process.kill()
        assert running.heard("is back")
        direct(running, "/v1/chat/completions", chat_body())
        gc.collect()
        return sum(issubclass(type(each), PreTrainedTokenizerBase) for each in gc.get_objects())

    already = engine_processes()
    with running_engine(model) as running:
        at_first = replaced(running)
        assert replaced(running) == at_first


def test_an_engine_that_keeps_dying_is_said_to_be_down_and_tried_again(model: Path) -> None:
    already = engine_processes()
    with running_engine(model, max_restarts=0, first_wait_s=1.0) as running:
        (process,) = engine_processes() - already
        process.kill()
        assert running.heard("started again in 1 s")
        assert running.engine.gave_up.is_set()
        with pytest.raises(EngineUnavailable, match="started again in 1 s"):
            running.run(running.engine.check())
        assert running.heard("is back")
        assert not running.engine.gave_up.is_set()
        assert ask(running).usage.completion_tokens == 40


@fault(
    "Engine",
    "The engine's process hangs (SIGSTOP)",
    sees="its best, after `--engine-stall-s`; without a draft an error, 503",
    lost="the phases that were to come",
    recovers="is ended and started again",
)
def test_an_engine_that_hangs_is_replaced(model: Path) -> None:
    already = engine_processes()

    async def stopped_meanwhile(running: Running, ours: set[Any]) -> None:
        async for _ in running.engine.generate(ASK, changed(max_tokens=3000), Call("hangs")):
            for process in ours:
                os.kill(process.pid, signal.SIGSTOP)

    with running_engine(model, engine_stall_s=1.0) as running:
        ours = engine_processes() - already
        with pytest.raises(EngineUnavailable, match="died"):
            running.run(stopped_meanwhile(running, ours))
        assert running.heard("gave no output for 1 s and was ended")
        assert running.heard("is back")
        assert not any(process.is_running() for process in ours)
        assert ask(running).usage.completion_tokens == 40


def test_an_engine_that_works_for_long_is_left_alone(model: Path) -> None:
    """Also for a direct answer that is not streamed, which shows nothing until its end."""
    with running_engine(model, engine_stall_s=3.0) as running:
        body = chat_body() | {"max_tokens": 3000, "ignore_eos": True}
        status, answer = direct(running, "/v1/chat/completions", body)
        assert status == 200, answer
        assert running.reports.empty() or "gave no output" not in str(running.reports.queue)


def test_closing_ends_what_runs_and_leaves_no_process(model: Path) -> None:
    import psutil

    async def close_meanwhile(running: Running) -> list[Any]:
        begun = asyncio.Event()

        async def read(n: int) -> None:
            async for _ in running.engine.generate(ASK, changed(max_tokens=3000), Call(f"{n}")):
                begun.set()

        readers = [asyncio.create_task(read(n)) for n in range(40)]
        async with asyncio.timeout(180):
            await begun.wait()
            await running.engine.close()
            return await asyncio.gather(*readers, return_exceptions=True)

    already = engine_processes()
    with running_engine(model) as running:
        ours = engine_processes() - already
        assert ours
        ended = running.run(close_meanwhile(running))
        assert [type(error) for error in ended] == [EngineUnavailable] * 40
        with pytest.raises(EngineUnavailable, match="closed"):
            running.run(running.engine.check())
    _, alive = psutil.wait_procs(ours, timeout=120)
    assert not alive


@fault(
    "Engine",
    "The engine's process gets no more memory (RLIMIT_AS); the kernel ends it for its memory",
    sees="its best, with `stop_reason` `engine_failure`; without a draft an error, 503",
    lost="the phases that were to come",
    recovers="is ended by it, as by kill -9, and started again at once; `/ready` fails meanwhile",
)
@pytest.mark.skipif(sys.platform != "linux", reason="limits of another process are Linux's")
def test_an_engine_that_gets_no_memory_is_replaced(model: Path) -> None:
    import resource

    already = engine_processes()
    with running_engine(model, engine_stall_s=20.0) as running:
        ask(running)
        (process,) = engine_processes() - already
        resource.prlimit(process.pid, resource.RLIMIT_AS, (1 << 20, -1))
        long = Chat((Message("user", "Name four animals in alphabetical order. " * 60),))

        async def many() -> list[Any]:
            calls = [
                complete(running.engine, long, changed(seed=n, max_tokens=200), Call(f"{n}"))
                for n in range(64)
            ]
            return await asyncio.gather(*calls, return_exceptions=True)

        ended = running.run(many())
        assert {type(end) for end in ended} == {EngineUnavailable}
        assert running.heard("its process died")
        assert running.heard("is back")
        assert not process.is_running()
        assert ask(running).usage.completion_tokens == 40
