"""How long a phase may get when nobody says."""

from __future__ import annotations

import pytest

from redraft.server.engine.base import Sampling
from redraft.server.engine.scripted_engine import ScriptedEngine
from redraft.server.refine.limits import UNLIMITED, feedback_tokens, response_tokens
from redraft.server.refine.loop import Brief
from redraft.server.refine.policy import Policy
from tests.support.loops import QUESTION, feedback, gather, run

LIMITED = Policy(response_tokens=20, feedback_tokens=10)


def most(
    policy: Policy, style: str = "srt", window: int = 4096, brief: Brief = QUESTION
) -> list[int | None]:
    """The limit each phase's call was given."""
    engine = ScriptedEngine("Lyon", feedback(3), "Paris", window=window)
    run(gather(engine, policy, brief, style))
    return [call.sampling.max_tokens for call in engine.history]


@pytest.mark.parametrize(
    ("window", "response", "of_feedback"),
    [(512, 170, 128), (2048, 682, 512), (8192, 1024, 512), (131_072, 1024, 512)],
)
def test_the_default_is_a_part_of_the_window(window: int, response: int, of_feedback: int) -> None:
    assert response_tokens(window, None) == response
    assert feedback_tokens(window, None) == of_feedback


def test_an_operator_may_choose_another_or_none() -> None:
    assert response_tokens(8192, 3000) == feedback_tokens(8192, 3000) == 3000
    assert response_tokens(8192, UNLIMITED) is None
    assert feedback_tokens(8192, UNLIMITED) is None


@pytest.mark.parametrize("style", ["srt", "prompted"])
def test_phases_get_the_default_where_their_sampling_names_none(style: str) -> None:
    assert most(LIMITED, style) == [20, 10, 20]
    named = Policy(
        response_tokens=20,
        feedback_tokens=10,
        draft=Sampling(max_tokens=5),
        feedback=Sampling(max_tokens=12),
        refinement=Sampling(max_tokens=7),
    )
    assert most(named, style) == [5, 12, 7]


def test_a_request_for_more_tokens_than_the_default_gets_them() -> None:
    assert most(Policy(response_tokens=20, draft=Sampling(min_tokens=30)))[0] == 30


def test_an_answer_without_refinement_has_the_window_for_itself() -> None:
    engine = ScriptedEngine("Paris", window=100)
    run(gather(engine, Policy(max_iterations=0, response_tokens=20)))
    assert (engine.history[0].sampling.max_tokens or 100) > 90


@pytest.mark.parametrize("style", ["srt", "prompted"])
def test_a_tight_window_leaves_room_for_the_other_phases(style: str) -> None:
    long = Brief.text("word " * 50)
    wide = Policy(response_tokens=4000, feedback_tokens=4000)
    first, *_ = most(wide, style, window=400, brief=long)
    assert first is not None
    assert 100 < first < 120


def test_a_chat_without_token_ids_gets_the_default_alone() -> None:
    engine = ScriptedEngine("Lyon", feedback(3), "Paris", has_tokens=False, window=600)
    run(gather(engine, LIMITED, style="prompted"))
    assert [call.sampling.max_tokens for call in engine.history] == [20, 10, 20]
