"""What ends a loop from outside."""

from __future__ import annotations

import asyncio

import pytest

from redraft.server.refine.interrupt import Interrupt
from redraft.server.refine.stopping import Stop
from tests.support.loops import run


def test_work_that_is_done_in_time_gives_its_result() -> None:
    async def scenario() -> str:
        return await Interrupt(deadline_ms=60_000).wait(asyncio.sleep(0, "done"))

    assert run(scenario()) == "done"


def test_a_cut_ends_the_wait_with_its_reason() -> None:
    async def scenario() -> None:
        interrupt = Interrupt(deadline_ms=60_000)
        waiting = asyncio.create_task(interrupt.wait(asyncio.Event().wait()))
        await asyncio.sleep(0)
        interrupt.cut("draining")
        interrupt.cut("deadline")
        await waiting

    with pytest.raises(Stop) as stop:
        run(scenario())
    assert stop.value.reason == "draining", "the first reason counts"


def test_several_waits_are_all_ended() -> None:
    async def scenario() -> list[BaseException | bool]:
        interrupt = Interrupt()
        never = [interrupt.wait(asyncio.Event().wait()) for _ in range(3)]
        waiting = [asyncio.create_task(each) for each in never]
        await asyncio.sleep(0)
        interrupt.cut("draining")
        return await asyncio.gather(*waiting, return_exceptions=True)

    assert [type(ended) for ended in run(scenario())] == [Stop] * 3


def test_a_timeout_of_the_work_itself_is_not_taken_for_the_deadline() -> None:
    async def fails() -> None:
        raise TimeoutError("mine")

    async def scenario() -> None:
        await Interrupt(deadline_ms=60_000).wait(fails())

    with pytest.raises(TimeoutError, match="mine"):
        run(scenario())


def test_being_cancelled_is_not_a_stop() -> None:
    async def scenario() -> None:
        waiting = asyncio.create_task(Interrupt(60_000).wait(asyncio.Event().wait()))
        await asyncio.sleep(0)
        waiting.cancel()
        await waiting

    with pytest.raises(asyncio.CancelledError):
        run(scenario())


def test_a_deadline_that_has_passed_is_noticed_before_any_work() -> None:
    async def scenario() -> None:
        Interrupt(deadline_ms=0).check()

    with pytest.raises(Stop, match="deadline"):
        run(scenario())
