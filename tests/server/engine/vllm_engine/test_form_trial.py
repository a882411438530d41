"""Forms that take too long to compile are refused, and nobody waits for them: on a real engine."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("vllm", reason="vLLM is not installed")

from redraft.server.engine.base import (
    Call,
    Chat,
    ChatOptions,
    Constraint,
    EngineRefused,
    Sampling,
    complete,
)
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
