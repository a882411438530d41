"""Forms that take too long to compile are refused, and nobody waits for them: on a real engine."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("vllm", reason="vLLM is not installed")

from vllm.sampling_params import StructuredOutputsParams

from redraft.server.engine.base import (
    Call,
    Chat,
    ChatOptions,
    Constraint,
    EngineRefused,
    Sampling,
    complete,
)
from redraft.server.engine.vllm_engine import forking
from redraft.server.engine.vllm_engine.form_trial import FormTrial
from tests.support.faults import fault
from tests.support.tiny_engine import ASK, FREE, Running, ask, changed, running_engine

pytestmark = pytest.mark.vllm


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    directory: Path = tmp_path_factory.mktemp("model")
    with running_engine(directory, form_compile_s=1.0) as running:
        yield running


def endless(name: str) -> Constraint:
    """A small grammar that nobody has seen compile: each rule is the next one twice."""
    rules = [f"{name}{n} ::= {name}{n + 1} {name}{n + 1} | [a-z]" for n in range(40)]
    return Constraint("grammar", "\n".join([f"root ::= {name}0", *rules, f'{name}40 ::= "a"']))


def choices(*words: str) -> Sampling:
    return Sampling(max_tokens=8, constraint=Constraint("choice", json.dumps(words)))


@fault(
    "Clients",
    "A form that xgrammar compiles or follows for ever",
    sees="an error, 400",
    lost="nothing of others",
    recovers="tries it in a process of its own, which is ended after `--form-compile-s`",
)
def test_a_form_that_takes_too_long_is_refused_and_the_next_one_is_served(
    running: Running,
) -> None:
    for _ in range(2):  # remembered the second time
        with pytest.raises(EngineRefused, match="too long to compile"):
            ask(running, changed(constraint=endless("r")))
    assert ask(running, choices("yes", "no")).text in ("yes", "no")


def test_nobody_else_waits_for_it(running: Running) -> None:
    async def beside() -> tuple[BaseException | Any, str, bool]:
        refused = asyncio.create_task(
            complete(running.engine, ASK, changed(constraint=endless("s")), Call("endless"))
        )
        other = await complete(running.engine, ASK, FREE, Call("other"))
        before = not refused.done()
        (error,) = await asyncio.gather(refused, return_exceptions=True)
        return error, other.text, before

    error, text, before = running.run(beside())
    assert isinstance(error, EngineRefused)
    assert text
    assert before


def test_the_arguments_of_a_tool_are_tried_too(running: Running) -> None:
    parts = {f"p{n}": {"type": "string", "pattern": f"^[a-z]{{1,{900 + n}}}$"} for n in range(50)}
    function = {"name": "f", "parameters": {"type": "object", "properties": parts}}
    options = ChatOptions(({"type": "function", "function": function},), "required")
    with pytest.raises(EngineRefused):
        ask(running, FREE, Chat(ASK.messages, options))


def test_what_is_wrong_with_a_form_is_said_as_ever(running: Running) -> None:
    with pytest.raises(EngineRefused, match="regex"):
        ask(running, changed(constraint=Constraint("regex", "(")))


def test_a_signal_to_the_process_of_a_trial_is_none_to_the_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ctrl-C reaches every process: one that was just forked still has the server's handlers."""
    leave_server = forking.leave_server

    def signalled_first() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        leave_server()

    monkeypatch.setattr(forking, "leave_server", signalled_first)
    trial = FormTrial(config=None, tokenizer=None)
    monkeypatch.setattr(FormTrial, "_backend", None)
    received: list[str] = []

    async def try_one() -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, received.append, "SIGINT")
        form = StructuredOutputsParams(regex="[a-z]+")
        assert await asyncio.to_thread(trial._try, form)
        await asyncio.sleep(0)  # the loop looks at its signals

    asyncio.run(try_one())
    assert received == []
