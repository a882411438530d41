"""The shipped model, asked what it sometimes never stops answering: the limits hold.
Spans: server/refine, server/engine"""

from __future__ import annotations

import asyncio

import pytest

from redraft.server.build.names import FALLBACK, SHIPPED
from redraft.server.refine import manifest
from redraft.server.refine.asking import SrtAsker
from redraft.server.refine.limits import feedback_tokens, response_tokens
from redraft.server.refine.loop import Brief, refine
from redraft.server.refine.policy import Policy
from redraft.server.refine.trace import Trace
from tests.support.loops import trace_of
from tests.support.tiny_engine import running_engine

pytestmark = pytest.mark.vllm

SEEDS = range(12)
BRIEF = Brief.text("Sort these words: pear, fig, apple")


def test_no_seed_makes_the_shipped_model_run_away() -> None:
    recorded = manifest.read(SHIPPED / FALLBACK)
    assert recorded is not None
    with running_engine(SHIPPED / FALLBACK) as running:
        engine = running.engine
        window = engine.window

        async def answer(seed: int) -> Trace:
            policy = Policy(
                seed=seed,
                response_tokens=response_tokens(window, None),
                feedback_tokens=feedback_tokens(window, None),
            )
            asker = SrtAsker(engine, recorded.srt_format, BRIEF.instruction)
            request_id = f"runaway-{seed}"
            return trace_of([e async for e in refine(asker, BRIEF, policy, request_id=request_id)])

        async def answers() -> list[Trace]:
            return await asyncio.gather(*map(answer, SEEDS))

        traces = running.run(answers())
    longest = max(text.tokens for trace in traces for text in trace.responses)
    assert longest <= window // 3
    assert all(trace.answer.text for trace in traces)
    print(
        sorted(t.tokens for trace in traces for t in trace.responses), [t.repeated for t in traces]
    )
