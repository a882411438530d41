"""Which adapter writes which phase: the calls an engine receives, and what a manifest may say."""

from __future__ import annotations

from typing import Any

import pytest

from redraft.server.engine.scripted_engine import ScriptedEngine
from redraft.server.refine.adapters import AdaptedAsker, PhaseAdapters
from redraft.server.refine.loop import refine
from redraft.server.refine.policy import Policy
from tests.support.loops import QUESTION, asker, feedback, run

CRITIC = PhaseAdapters(draft=None, feedback="critic", refinement="critic")


def adapters_of(engine: ScriptedEngine, adapters: PhaseAdapters, policy: Policy) -> list[Any]:
    async def loop() -> None:
        adapted = AdaptedAsker(asker(engine), adapters)
        async for _ in refine(adapted, QUESTION, policy):
            pass

    run(loop())
    return [received.call.adapter for received in engine.history]


def test_each_phase_is_written_by_its_adapter() -> None:
    engine = ScriptedEngine("Lyon", feedback(3), "Paris")
    assert adapters_of(engine, CRITIC, Policy()) == [None, "critic", "critic"]


def test_several_drafts_and_their_scores_are_no_different() -> None:
    engine = ScriptedEngine(reply=lambda text, _: feedback(3) if "<|feedback|>" in text else "Lyon")
    seen = adapters_of(engine, CRITIC, Policy(max_iterations=0, drafts=2))
    assert sorted(seen, key=str) == [None, None, "critic", "critic"]


def test_an_adapter_continues_what_the_base_wrote() -> None:
    engine = ScriptedEngine("Lyon is nice", feedback(3), "Paris")
    adapters_of(engine, CRITIC, Policy())
    assert engine.history[1].text.startswith(f"{engine.history[0].text}Lyon is nice")


def test_a_manifest_names_an_adapter_or_null_for_a_phase() -> None:
    read = PhaseAdapters.from_json({"feedback": "critic", "draft": None})
    assert read == PhaseAdapters(None, "critic", None)
    assert PhaseAdapters.all("one").names == ("one",)
    assert PhaseAdapters("a", None, "b").renamed({"a": "x", "b": "y"}).names == ("x", "y")


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"critic": "one"}, "has the phase 'critic'; the phases are draft, feedback, refinement"),
        ({"feedback": 3}, "adapters.feedback is 3, expected a name, a path or null"),
        ({"feedback": ""}, "adapters.feedback is ''"),
        ("one", "expected a name or null for each phase"),
    ],
)
def test_anything_else_is_refused(section: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PhaseAdapters.from_json(section)
