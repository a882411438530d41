"""What a refinement is expected to be: the response it refines."""

from __future__ import annotations

from typing import Any

import pytest

from redraft.server.engine.scripted_engine import ScriptedEngine
from redraft.server.refine.loop import Brief
from redraft.server.refine.policy import Policy
from tests.support.loops import QUESTION, feedback, gather, run, trace_of

DRAFT = "Lyon is the capital"


def expected(engine: ScriptedEngine) -> dict[str, str]:
    """Of each call, by its phase and iteration, as text."""
    return {
        received.call.request_id.removeprefix("refine-"): engine.decode(received.call.prediction)
        for received in engine.history
    }


@pytest.mark.parametrize("style", ["srt", "prompted"])
def test_a_refinement_is_expected_to_be_its_draft_however_it_is_asked_for(style: str) -> None:
    engine = ScriptedEngine(DRAFT, feedback(3), "Paris", predicts=True)
    trace = trace_of(run(gather(engine, Policy(), style=style)))
    assert trace.answer.text == "Paris"
    assert expected(engine) == {"draft-0": "", "feedback-1": "", "refinement-1": DRAFT}


def test_so_it_is_without_feedback_and_after_each_iteration() -> None:
    engine = ScriptedEngine(DRAFT, "Paris is it", "Paris", predicts=True)
    run(gather(engine, Policy(feedback_by="off", max_iterations=2)))
    assert expected(engine) == {
        "draft-0": "",
        "refinement-1": DRAFT,
        "refinement-2": "Paris is it",
    }


def test_the_draft_that_is_kept_of_several_is_expected() -> None:
    engine = ScriptedEngine(*("Nice", DRAFT, feedback(2), feedback(3), "Paris"), predicts=True)
    run(gather(engine, Policy(drafts=2)))
    assert expected(engine)["refinement-1-d0"] == DRAFT


def test_a_response_that_the_caller_gives_is_expected_too() -> None:
    engine = ScriptedEngine(feedback(3), "Paris", predicts=True)
    brief = Brief(QUESTION.instruction, response="Lyon it is")
    run(gather(engine, Policy(), brief))
    assert expected(engine)["refinement-1"] == "Lyon it is"


@pytest.mark.parametrize("options", [{}, {"has_tokens": False}])
def test_where_an_engine_guesses_nothing_it_is_told_nothing(options: dict[str, Any]) -> None:
    engine = ScriptedEngine(DRAFT, feedback(3), "Paris", **options)
    run(gather(engine, Policy(), style="prompted"))
    assert set(expected(engine).values()) == {""}
