"""What an operator can say about an upstream reaches the engine that asks it, and the critics."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from redraft.server import build, config
from redraft.server.engine.base import Call, Engine, EngineUnavailable, Sampling, complete
from tests.support.http_stage import CHAT, STAGE, stage
from tests.support.upstream import Refuse, Scene, Stream, words_then

__all__ = ["stage"]  # a fixture, used by being here


def built(scene: Scene, use: Callable[[build.Engines], Awaitable[Any]], *options: str) -> Any:
    """What ``use`` makes of the engines that the options ask for, before the scene."""
    STAGE.app = scene.app()
    chosen = config.read(["--engine", "http", "--upstream", STAGE.served.v1, *options], {})

    async def run() -> Any:
        made = await build.build(chosen, lambda line: None)
        try:
            return await use(made)
        finally:
            await made.close()

    return asyncio.run(run())


async def ask(engine: Engine) -> str:
    call = Call("test", priority=-3)
    return (await complete(engine, CHAT, Sampling(), call)).text


async def ask_model(made: build.Engines) -> str:
    return await ask(made.model.engine)


async def ask_critic(made: build.Engines) -> str:
    return await ask(made.critics["strong"].engine)


@pytest.mark.parametrize(
    ("options", "vllm", "has_tokens"),
    [
        ([], True, True),
        (["--upstream-tokens", "no"], True, False),
        (["--upstream-tokens", "yes"], False, True),
    ],
)
def test_whether_token_ids_go_both_ways_can_be_said(
    options: list[str], vllm: bool, has_tokens: bool
) -> None:
    async def found(made: build.Engines) -> bool:
        return made.model.engine.has_tokens

    assert built(Scene(vllm=vllm), found, *options) is has_tokens


def test_priorities_are_passed_on_when_asked_for() -> None:
    silent, told = Scene("a"), Scene("a")
    built(silent, ask_model)
    built(told, ask_model, "--upstream-priority")
    assert "priority" not in silent.completions()[0].body
    assert told.completions()[0].body["priority"] == -3


@pytest.mark.parametrize("who", [ask_model, ask_critic])
def test_how_often_to_try_again_can_be_said(who: Any) -> None:
    scene = Scene()
    scene.next = [Refuse(503)] * 9
    with pytest.raises(EngineUnavailable, match="503"):
        built(scene, who, "--upstream-retries", "1", "--critic", f"strong={STAGE.served.v1}")
    assert len(scene.completions()) == 2


@pytest.mark.parametrize("who", [ask_model, ask_critic])
def test_how_long_to_wait_for_the_next_token_can_be_said(who: Any) -> None:
    scene = Scene(vllm=False)
    scene.next = [Stream(words_then(b"", "Par"), "hang")]
    critic = ("--critic", f"strong={STAGE.served.v1}")
    with pytest.raises(EngineUnavailable, match=r"nothing for 0\.2 s"):
        built(scene, who, "--upstream-between-s", "0.2", *critic)


def test_how_long_to_wait_for_the_first_token_can_be_said() -> None:
    scene = Scene(vllm=False)
    scene.next = [Stream(b"", "hang")]
    options = ("--upstream-first-token-s", "1.5", "--upstream-retries", "0")
    with pytest.raises(EngineUnavailable, match=r"1\.5 s"):
        built(scene, ask_model, *options)
