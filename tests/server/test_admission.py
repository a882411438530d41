"""Admission never lets in more than it may, keeps the order of arrival, and forgets nobody."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from redraft.server.admission import Admission, Rejected
from redraft.server.config import ServerConfig
from redraft.server.refine.interrupt import Interrupt
from redraft.server.refine.loop import NoDraft
from redraft.server.telemetry.metrics import Metrics
from tests.support.examples import examples

PATIENCE_S = 120


class Loop:
    """One loop that holds its place until it is told to end."""

    def __init__(self, admission: Admission, client: str = "a", deadline_ms: int | None = None):
        self.entered, self.end = asyncio.Event(), asyncio.Event()
        self.interrupt = Interrupt(deadline_ms)
        self.task = asyncio.create_task(self._run(admission, client))

    async def _run(self, admission: Admission, client: str) -> None:
        async with admission.place(client, self.interrupt):
            self.entered.set()
            await self.end.wait()

    async def finish(self) -> None:
        self.end.set()
        await self.task


async def settle() -> None:
    """Let everything that can happen now happen."""
    for _ in range(10):
        await asyncio.sleep(0)


def test_loops_beyond_the_limit_wait_and_enter_in_the_order_they_came() -> None:
    async def test() -> None:
        admission = Admission(ServerConfig(max_loops=1, max_queue=2))
        loops = [Loop(admission) for _ in range(3)]
        await settle()
        assert [loop.entered.is_set() for loop in loops] == [True, False, False]
        assert (admission.running, admission.waiting) == (1, 2)
        for before, after in itertools.pairwise(loops):
            await before.finish()
            await asyncio.wait_for(after.entered.wait(), PATIENCE_S)
        await loops[-1].finish()
        assert (admission.running, admission.waiting) == (0, 0)

    asyncio.run(test())


def test_a_full_queue_turns_the_next_one_away_with_a_hint_when_to_come_back() -> None:
    async def test() -> None:
        admission = Admission(ServerConfig(max_loops=1, max_queue=1))
        running, waiting = Loop(admission), Loop(admission)
        await settle()
        assert admission.full
        with pytest.raises(Rejected, match="1 requests are running and 1 waiting") as caught:
            async with admission.place("a", Interrupt()):
                pass
        assert caught.value.reason == "queue_full"
        assert 1 <= caught.value.retry_after_s <= 120
        await running.finish()
        await waiting.finish()

    asyncio.run(test())


def test_who_waits_longer_than_the_queue_allows_is_turned_away() -> None:
    async def test() -> None:
        admission = Admission(ServerConfig(max_loops=1, queue_timeout_s=0))
        running = Loop(admission)
        await settle()
        with pytest.raises(Rejected) as caught:
            await Loop(admission).task
        assert caught.value.reason == "queue_timeout"
        assert admission.waiting == 0
        await running.finish()

    asyncio.run(test())


def test_a_deadline_that_passes_in_the_queue_ends_the_wait() -> None:
    async def test() -> None:
        admission = Admission(ServerConfig(max_loops=1))
        running = Loop(admission)
        await settle()
        with pytest.raises(NoDraft) as caught:
            await Loop(admission, deadline_ms=1).task
        assert caught.value.reason == "deadline"
        assert (admission.running, admission.waiting) == (1, 0)
        await running.finish()

    asyncio.run(test())


def test_who_gives_up_leaves_the_queue_at_once_and_the_next_moves_up() -> None:
    async def test() -> None:
        admission = Admission(ServerConfig(max_loops=1))
        running, impatient, patient = (Loop(admission) for _ in range(3))
        await settle()
        impatient.task.cancel()
        await settle()
        assert admission.waiting == 1
        await running.finish()
        await asyncio.wait_for(patient.entered.wait(), PATIENCE_S)
        await patient.finish()

    asyncio.run(test())


def test_a_place_that_comes_in_the_moment_its_loop_gives_up_goes_to_the_next() -> None:
    async def test() -> None:
        admission = Admission(ServerConfig(max_loops=1))
        async with admission.place("a", Interrupt()):
            leaving, following = Loop(admission), Loop(admission)
            await settle()
        assert admission.waiting == 1  # the place is given, but its loop has not run since
        leaving.task.cancel()
        await asyncio.wait_for(following.entered.wait(), PATIENCE_S)
        assert not leaving.entered.is_set()
        await following.finish()
        assert admission.running == 0

    asyncio.run(test())


def test_a_client_with_its_share_running_lets_others_pass() -> None:
    async def test() -> None:
        admission = Admission(ServerConfig(max_loops=2, max_queue=8, max_share=0.5))
        first, second = Loop(admission, "greedy"), Loop(admission, "greedy")
        other = Loop(admission, "modest")
        await settle()
        assert [loop.entered.is_set() for loop in (first, second, other)] == [True, False, True]
        await other.finish()
        await settle()
        assert not second.entered.is_set()
        await first.finish()
        await asyncio.wait_for(second.entered.wait(), PATIENCE_S)
        await second.finish()

    asyncio.run(test())


def test_a_client_cannot_fill_the_queue_alone() -> None:
    async def test() -> None:
        admission = Admission(ServerConfig(max_loops=1, max_queue=2, max_share=0.5))
        loops = [Loop(admission, "greedy"), Loop(admission, "greedy")]
        await settle()
        with pytest.raises(Rejected) as caught:
            await Loop(admission, "greedy").task
        assert caught.value.reason == "client_share"
        loops.append(Loop(admission, "modest"))
        await settle()
        assert admission.waiting == 2
        for loop in loops:
            loop.end.set()
        await asyncio.gather(*(loop.task for loop in loops))

    asyncio.run(test())


def test_dismissing_sends_away_all_who_wait_and_none_who_run() -> None:
    async def test() -> None:
        admission = Admission(ServerConfig(max_loops=1))
        loops = [Loop(admission) for _ in range(3)]
        await settle()
        admission.dismiss(lambda: RuntimeError("closing"))
        ended = await asyncio.gather(*(loop.task for loop in loops[1:]), return_exceptions=True)
        assert [str(error) for error in ended] == ["closing", "closing"]
        assert (admission.running, admission.waiting) == (1, 0)
        await loops[0].finish()

    asyncio.run(test())


def test_the_queue_is_measured() -> None:
    async def test() -> None:
        registry = CollectorRegistry()
        admission = Admission(ServerConfig(max_loops=1, max_queue=1))
        admission.report_to(Metrics(registry))
        running, waiting = Loop(admission), Loop(admission)
        await settle()
        assert registry.get_sample_value("redraft_queue_length") == 1
        with pytest.raises(Rejected):
            await Loop(admission).task
        await running.finish()
        await waiting.finish()
        assert registry.get_sample_value("redraft_queue_length") == 0
        assert registry.get_sample_value("redraft_queue_wait_seconds_count") == 2
        rejected = {"reason": "queue_full"}
        assert registry.get_sample_value("redraft_admission_rejections_total", rejected) == 1

    asyncio.run(test())


Moves = st.lists(
    st.tuples(st.sampled_from(["come", "finish", "give up"]), st.integers(0, 30)), max_size=60
)


@settings(deadline=None, max_examples=examples(150))
@given(
    moves=Moves,
    max_loops=st.integers(1, 3),
    max_queue=st.integers(0, 4),
    max_share=st.sampled_from([0.0, 0.34, 0.5, 1.0]),
)
def test_whoever_comes_and_goes_the_limits_hold_and_nobody_waits_beside_a_free_place(
    moves: list[tuple[str, int]], max_loops: int, max_queue: int, max_share: float
) -> None:
    async def test() -> None:
        admission = Admission(
            ServerConfig(max_loops=max_loops, max_queue=max_queue, max_share=max_share)
        )
        loops: list[tuple[str, Loop]] = []
        for move, number in moves:
            if move == "come":
                client = "abc"[number % 3]
                loops.append((client, Loop(admission, client)))
            elif loops and move == "finish":
                loops[number % len(loops)][1].end.set()
            elif loops:
                loops[number % len(loops)][1].task.cancel()
            if number % 2:  # sometimes several things happen in one moment
                await settle()
                check(admission, loops, max_loops, max_queue, max_share)
        await settle()
        check(admission, loops, max_loops, max_queue, max_share)
        for _, loop in loops:
            loop.end.set()
        await asyncio.gather(*(loop.task for _, loop in loops), return_exceptions=True)
        assert (admission.running, admission.waiting) == (0, 0)

    asyncio.run(test())


def check(
    admission: Admission,
    loops: list[tuple[str, Loop]],
    max_loops: int,
    max_queue: int,
    max_share: float,
) -> None:
    alive = [(client, loop) for client, loop in loops if not loop.task.done()]
    running = [client for client, loop in alive if loop.entered.is_set()]
    waiting = [client for client, loop in alive if not loop.entered.is_set()]
    each = max(1, -(-max_loops * max_share // 1))
    assert (admission.running, admission.waiting) == (len(running), len(waiting))
    assert len(running) <= max_loops
    assert len(waiting) <= max_queue
    assert all(running.count(client) <= each for client in "abc")
    if len(running) < max_loops:
        assert all(running.count(client) >= each for client in waiting)
