"""Verifying, when the loop is interrupted before the checks have come to an end."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from redraft.server.engine.base import Call
from redraft.server.engine.scripted_engine import ScriptedEngine
from redraft.server.refine.checks import KINDS, Check, Kind
from redraft.server.refine.checks.check import Arguments, Verified, passed
from redraft.server.refine.checks.splitting import Text
from redraft.server.refine.interrupt import Interrupt
from redraft.server.refine.policy import Policy
from redraft.server.refine.trace import Trace
from tests.support.loops import gather, run, trace_of

SLOW = "Lyon"  # the response whose verification takes for ever


class Slow:
    """A kind of check that verifies SLOW only when it is let go."""

    def __init__(self) -> None:
        self.verified = 0
        self.release = threading.Event()

    def verify(self, response: Text, _: Arguments) -> Verified:
        if response.raw == SLOW:
            self.release.wait(60)
            self.verified += 1
        return passed("found it")


@pytest.fixture
def slow() -> Iterator[Slow]:
    slow = Slow()
    KINDS["slow"] = Kind("slow", lambda _: "slow", slow.verify, {}, "", "")
    yield slow
    slow.release.set()
    del KINDS["slow"]


def ended(slow: Slow, *script: str, drafts: int = 1) -> Trace:
    failing = Check("contains", {"texts": ["Rome"]})
    checks = (Check("slow"), failing, Check("slow"))
    policy = Policy(
        max_iterations=3, checks=checks, feedback_by="checks", keep="best", drafts=drafts
    )

    async def scenario() -> Trace:
        interrupt = Interrupt(deadline_ms=150)
        trace = trace_of(await gather(ScriptedEngine(*script), policy, interrupt=interrupt))
        slow.release.set()  # the event loop waits for its threads before it closes
        return trace

    return run(scenario())


@pytest.mark.parametrize("drafts", [1, 2])
def test_a_deadline_ends_the_wait_for_the_verdict_on_a_draft(slow: Slow, drafts: int) -> None:
    trace = ended(slow, SLOW, SLOW, drafts=drafts)
    assert (trace.stop_reason, trace.answer.text) == ("deadline", SLOW)
    assert trace.answer.findings == ()


def test_a_refinement_that_was_not_verified_is_not_the_best(slow: Slow) -> None:
    trace = ended(slow, "Paris", SLOW)
    assert (trace.stop_reason, trace.answer.text) == ("deadline", "Paris")
    assert [response.text for response in trace.responses] == ["Paris", SLOW]


def test_the_checks_that_nobody_waits_for_are_not_begun(slow: Slow) -> None:
    ended(slow, SLOW)
    assert slow.verified <= 1  # of two


def test_what_was_written_until_the_deadline_is_verified_all_the_same(slow: Slow) -> None:
    async def scenario() -> Trace:
        interrupt = Interrupt()
        policy = Policy(max_iterations=1, checks=(Check("slow"),), feedback_by="checks")

        async def gate(call: Call, position: int) -> None:
            if position == 1:
                interrupt.cut("draining")

        engine = ScriptedEngine("Paris and more", gate=gate)
        return trace_of(await gather(engine, policy, interrupt=interrupt))

    trace = run(scenario())
    assert trace.stop_reason == "draining"
    (finding,) = trace.answer.findings
    assert finding.passed
