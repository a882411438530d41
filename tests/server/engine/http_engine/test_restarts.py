"""An upstream, or the router in front of it, that ends or is restarted while a loop runs.
Spans: server/engine/http_engine, server/refine"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import ExitStack

from redraft.server.engine.http_engine import HttpEngine, Upstream
from redraft.server.refine.asking import PromptedAsker
from redraft.server.refine.events import DraftDone, Finished
from redraft.server.refine.loop import Brief, refine
from redraft.server.refine.policy import Policy
from redraft.server.refine.trace import Trace
from tests.support.faults import fault
from tests.support.loops import feedback
from tests.support.serving import serving
from tests.support.upstream import Scene

QUESTION = Brief.text("Capital of Italy?")
DRAFT, REFINED = "It is Milan.", "It is Rome."


def trace_of_a_loop(after_the_draft: Callable[[ExitStack, int], None]) -> Trace:
    """A loop on an upstream to which something happens once there is a draft."""

    async def run() -> Trace:
        engine = await HttpEngine.connect(Upstream(f"http://127.0.0.1:{port}/v1", backoff_s=0.01))
        try:
            asker = PromptedAsker(engine, QUESTION.instruction)
            async for event in refine(asker, QUESTION, Policy(max_iterations=1)):
                if isinstance(event, DraftDone):
                    await asyncio.to_thread(after_the_draft, upstream, port)
                if isinstance(event, Finished):
                    return event.trace
            raise AssertionError("the loop did not finish")
        finally:
            await engine.close()

    with ExitStack() as upstream:
        port = upstream.enter_context(serving(Scene(DRAFT, vllm=False).app())).port
        return asyncio.run(run())


@fault(
    "Upstream",
    "The upstream, or a router before it, is restarted between two phases",
    sees="its answer, as ever",
    lost="nothing",
    recovers="asks again, on a new connection",
)
def test_an_upstream_that_is_restarted_is_asked_again() -> None:
    def restart(upstream: ExitStack, port: int) -> None:
        upstream.close()
        again = Scene(feedback(3), REFINED, vllm=False)
        upstream.enter_context(serving(again.app(), at=port))

    trace = trace_of_a_loop(restart)
    assert (trace.answer.text, trace.stop_reason) == (REFINED, "max_iterations")


@fault(
    "Upstream",
    "The upstream ends and does not come back",
    sees="its best, with `stop_reason` `engine_failure`; without a draft an error, 503",
    lost="the phases that were to come",
    recovers="tries again with every request; `/ready` fails meanwhile",
)
def test_an_upstream_that_ends_leaves_the_draft() -> None:
    trace = trace_of_a_loop(lambda upstream, _: upstream.close())
    assert (trace.answer.text, trace.stop_reason) == (DRAFT, "engine_failure")
