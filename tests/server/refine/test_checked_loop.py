"""The loop with checks: what refinements are asked, in both styles, and what holds for any checks.
Spans: server/refine/loop, server/refine/verifying, server/refine/asking"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redraft.server.engine.base import EngineUnavailable
from redraft.server.engine.scripted_engine import Fail, ScriptedEngine
from redraft.server.refine.checks import KINDS, Check, read_check, verify_all
from redraft.server.refine.checks.scoring import all_hold, held
from redraft.server.refine.policy import Policy
from tests.support.loops import FORMAT, QUESTION, answer_to, feedback, gather, run, trace_of

NO_COMMAS = read_check({"kind": "without", "characters": ","})
CHECKED: dict[str, Any] = {
    "checks": (NO_COMMAS,),
    "feedback_by": "checks",
    "keep": "best",
    "max_iterations": 3,
}


def asked(engine: ScriptedEngine, call: int) -> str:
    return engine.history[call].text


@pytest.mark.parametrize("style", ["srt", "prompted"])
def test_a_refinement_is_asked_with_what_the_checks_found(style: str) -> None:
    engine = ScriptedEngine("Paris, France", "Paris in France")
    trace = trace_of(run(gather(engine, Policy(**CHECKED), style=style)))
    assert trace.stop_reason == "checks_passed"
    request = asked(engine, 1)
    assert 'no commas: found "Paris, France". Not met.' in request
    assert "Overall Score: [[1]]" in request
    assert len(engine.history) == 2


def test_a_tuned_model_refines_without_feedback_after_the_marker_alone() -> None:
    engine = ScriptedEngine("Rome", "Paris")
    trace_of(run(gather(engine, Policy(max_iterations=1, feedback_by="off"))))
    (marker,) = FORMAT.refinement.ids
    assert asked(engine, 1).endswith(f"\nRome<|{marker}|>")


def test_a_prompted_model_refines_without_feedback_when_it_is_asked_to_improve() -> None:
    engine = ScriptedEngine("Rome", "Paris")
    trace_of(run(gather(engine, Policy(max_iterations=1, feedback_by="off"), style="prompted")))
    assert "Write an improved response" in asked(engine, 1)
    assert "feedback" not in asked(engine, 1)


def test_a_failure_later_keeps_the_response_that_passes_most() -> None:
    gone = Fail(EngineUnavailable("gone"))
    trace = answer_to("a, b", "c", gone, **(CHECKED | {"checks": (NO_COMMAS, Check("quoted"))}))
    assert (trace.stop_reason, trace.answer.text) == ("engine_failure", "c")
    assert held(trace.answer.findings) == 1


def test_no_change_ends_the_loop_before_its_last_iteration() -> None:
    trace = answer_to("a, b", "a, b", **CHECKED)
    assert (trace.stop_reason, trace.kept) == ("no_change", 0)


responses = st.lists(st.text(max_size=40), min_size=4, max_size=4)
kinds = st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=4, unique=True)


@settings(deadline=None)
@given(responses, kinds, st.sampled_from(["model", "checks", "off"]), st.integers(0, 3))
def test_whatever_the_checks_the_answer_is_the_best_response_seen(
    texts: list[str], names: list[str], by: Any, iterations: int
) -> None:
    checks = tuple(read_check({"kind": name, **KINDS[name].example}) for name in names)
    written = [text or " " for text in texts]
    script = []
    for text in written:
        script += [text, feedback(5)] if by == "model" else [text]
    policy = Policy(max_iterations=iterations, keep="best", checks=checks, feedback_by=by)
    trace = trace_of(run(gather(ScriptedEngine(*script), policy)))
    assert trace.answer in trace.responses
    for response in trace.responses:
        asked_for = QUESTION.instruction.messages[-1].content
        assert response.findings == verify_all(checks, response.text, asked_for)
    full = [response for response in trace.responses if response.text.strip()]
    most = max((held(response.findings) for response in full or trace.responses), default=0)
    assert held(trace.answer.findings) == most
    assert (trace.stop_reason == "checks_passed") == all_hold(trace.responses[-1].findings)
    assert len(trace.scores) == len(trace.responses)
