"""Candidates where the engine is vLLM: side by side on one prefix, and then read together.
Spans: server/refine/candidates, server/refine/combining"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from redraft.server.engine.base import Sampling
from redraft.server.refine.asking import PromptedAsker
from redraft.server.refine.events import CandidateDone, Delta, Event
from redraft.server.refine.loop import Brief, refine
from redraft.server.refine.policy import Policy
from tests.support.loops import trace_of
from tests.support.tiny_engine import Running, running_engine

pytestmark = pytest.mark.vllm


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running_engine(tmp_path_factory.mktemp("tiny")) as running:
        yield running


def loop(running: Running, name: str, **options: Any) -> list[Event]:
    brief = Brief.text("Name 3 animals.")
    drafts = Sampling(max_tokens=12, ignore_eos=True)
    refinements = Sampling(temperature=1.0, max_tokens=12, ignore_eos=True)
    policy = Policy(
        **{"drafts": 3, "combine": "candidates", "feedback_by": "off", "seed": 1, **options},
        draft=drafts,
        refinement=refinements,
        end_repetition=False,
    )

    async def events() -> list[Event]:
        asker = PromptedAsker(running.engine, brief.instruction)
        return [e async for e in refine(asker, brief, policy, request_id=name, live=True)]

    return running.run(events())


def test_candidates_are_written_side_by_side_and_then_together(running: Running) -> None:
    events = loop(running, "together", max_iterations=2, subset=2)
    trace = trace_of(events)
    assert len({draft.response.text for draft in trace.drafts}) == 3
    assert sum(isinstance(event, CandidateDone) for event in events) == 3
    assert trace.totals["draft"].usage.calls == 3
    assert trace.totals["refinement"].usage.calls == 4
    live = "".join(e.text for e in events if isinstance(e, Delta) and e.live)
    assert live == trace.answer.text == trace.responses[-1].text


def test_the_same_seed_gives_the_same_candidates(running: Running) -> None:
    first, second = (
        trace_of(loop(running, name, max_iterations=2, subset=2)) for name in ("once", "again")
    )
    assert first.drafts == second.drafts
    assert [i.candidates for i in first.iterations] == [i.candidates for i in second.iterations]
    assert first.answer == second.answer


def test_those_the_window_has_no_room_for_are_left_out(running: Running) -> None:
    window = running.engine.window
    long = Sampling(max_tokens=window // 3, ignore_eos=True)
    brief = Brief.text("Name 3 animals.")
    policy = Policy(drafts=4, combine="candidates", feedback_by="off", seed=1, draft=long)

    async def events() -> list[Event]:
        asker = PromptedAsker(running.engine, brief.instruction)
        return [e async for e in refine(asker, brief, policy, request_id="long")]

    trace = trace_of(running.run(events()))
    assert trace.left_out
    assert trace.stop_reason == "max_iterations"
