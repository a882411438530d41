"""Checks where the engine is vLLM: an instruction is read under their schema, and a refinement
follows what they found.
Spans: server/refine, server/engine"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from redraft.server.engine.base import Chat, Constraint, Message, Sampling
from redraft.server.refine.asking import Ask, PromptedAsker
from redraft.server.refine.checks import KINDS, read_check, verify_all
from redraft.server.refine.checks.schema import MOST_READ, extraction_schema
from redraft.server.refine.interrupt import Interrupt
from redraft.server.refine.loop import Brief, refine
from redraft.server.refine.phases import Phases, Step
from redraft.server.refine.policy import Policy
from redraft.server.refine.trace import Trace
from tests.support.loops import trace_of
from tests.support.tiny_engine import Running, running_engine

pytestmark = pytest.mark.vllm


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running_engine(tmp_path_factory.mktemp("tiny")) as running:
        yield running


def loop(running: Running, name: str, **policy: Any) -> Trace:
    brief = Brief.text("Name 3 animals.")
    base = Policy(seed=1, **policy)
    chosen = replace(
        base,
        draft=replace(base.draft, max_tokens=16),
        refinement=replace(base.refinement, max_tokens=16),
        feedback=replace(base.feedback, max_tokens=64),
    )

    async def events() -> Trace:
        asker = PromptedAsker(running.engine, brief.instruction)
        return trace_of([e async for e in refine(asker, brief, chosen, request_id=name)])

    return running.run(events())


@pytest.mark.parametrize("seed", range(3))
def test_random_weights_write_checks_of_the_schema(running: Running, seed: int) -> None:
    async def written() -> str:
        phases = Phases(Policy(seed=seed), Interrupt(), f"extract-{seed}")
        constraint = Constraint("json_schema", json.dumps(extraction_schema()))
        sampling = Sampling(temperature=1.0, max_tokens=400, constraint=constraint)
        ask = Ask(Chat((Message("user", "Name 3 animals."),)))
        text = (await phases.whole(running.engine, ask, Step("feedback", sampling))).text
        return text

    text = running.run(written())
    assert text.lstrip().startswith("{")
    if text.rstrip().endswith("]}"):
        contents = json.loads(text, strict=False)["checks"]
        assert len(contents) <= MOST_READ
        assert {content["kind"] for content in contents} <= KINDS.keys()


def test_a_loop_reads_its_checks_and_says_what_it_read(running: Running) -> None:
    trace = loop(running, "auto", max_iterations=1, extract_checks=True, feedback_by="checks")
    assert trace.verified
    assert trace.totals["feedback"].usage.calls >= 1


def test_the_findings_are_the_feedback_of_the_loop(running: Running) -> None:
    checks = (read_check({"kind": "quoted"}), read_check({"kind": "words", "at_most": 200}))
    trace = loop(
        running, "checked", max_iterations=2, checks=checks, feedback_by="checks", keep="best"
    )
    assert "feedback" not in trace.totals
    assert trace.totals["refinement"].usage.completion_tokens > 0
    for response in trace.responses:
        assert response.findings == verify_all(checks, response.text, "Name 3 animals.")
    assert "wrapped in double quotation marks" in trace.iterations[0].feedback.text
