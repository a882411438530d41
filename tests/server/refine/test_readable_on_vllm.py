"""Feedback from a model that knows nothing can be read where the engine is vLLM.
Spans: server/refine, server/engine"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from redraft.server.engine.base import Sampling
from redraft.server.refine.asking import PromptedAsker
from redraft.server.refine.loop import Brief, refine
from redraft.server.refine.policy import Policy
from redraft.server.refine.trace import Trace
from tests.support.loops import trace_of
from tests.support.tiny_engine import Running, running_engine

pytestmark = pytest.mark.vllm


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running_engine(tmp_path_factory.mktemp("tiny")) as running:
        yield running


def answered(running: Running, number: int, feedback_tokens: int) -> Trace:
    brief = Brief.text(f"Name {number} animals.")
    base = Policy(seed=number)
    policy = Policy(
        seed=number,
        draft=_limited(base.draft, 20),
        feedback=_limited(base.feedback, feedback_tokens),
        refinement=_limited(base.refinement, 20),
    )

    async def events() -> Trace:
        asker = PromptedAsker(running.engine, brief.instruction)
        request_id = f"readable-{number}-{feedback_tokens}"
        return trace_of([e async for e in refine(asker, brief, policy, request_id=request_id)])

    return running.run(events())


def _limited(sampling: Sampling, max_tokens: int) -> Sampling:
    return replace(sampling, max_tokens=max_tokens)


@pytest.mark.parametrize("feedback_tokens", [128, 512])
def test_random_weights_write_feedback_that_can_be_read(
    running: Running, feedback_tokens: int
) -> None:
    for number in range(4):
        trace = answered(running, number, feedback_tokens)
        assert trace.stop_reason in ("max_iterations", "no_change")
        (iteration,) = trace.iterations
        assert iteration.feedback.score in range(1, 11)
        assert iteration.feedback.weaknesses
        assert iteration.feedback.suggestions
        assert iteration.feedback.token_ids


def test_a_model_that_repeats_itself_is_ended(running: Running) -> None:
    """Greedy, random weights write one token for ever."""
    brief = Brief.text("Name animals.")
    greedy = Sampling(temperature=0.0, max_tokens=2000)

    async def answer() -> Trace:
        asker = PromptedAsker(running.engine, brief.instruction)
        return trace_of([e async for e in refine(asker, brief, Policy(draft=greedy))])

    trace = running.run(answer())
    assert trace.repeated >= 1
    assert trace.draft.finish_reason == "length"
    assert len(trace.draft.token_ids) < 1500
    assert trace.totals["draft"].usage.prompt_tokens > 0
    assert running.engine.num_unfinished() == 0
