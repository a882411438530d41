"""A model whose feedback has no score, as its manifest says: what loop and API make of it.
Spans: server/refine, server/api"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from redraft.server.config import ServerConfig
from redraft.server.engine.scripted_engine import ScriptedEngine
from redraft.server.refine.feedback import read_feedback
from redraft.server.refine.manifest import DefaultPolicy
from redraft.server.refine.srt_format import FormatError
from redraft.server.refine.trace import ResponseText
from tests.support.asgi import post, srt_model
from tests.support.loops import FORMAT, WITHOUT_SCORE, feedback

QUESTION = {"prompt": "Capital of France?"}
SAID = "Weaknesses: It is no city.\nSuggestions: Name the city."


def ask(path: str, body: dict[str, Any], *script: str, **more: Any) -> dict[str, Any]:
    answer = post(path, body, *script, srt_format=WITHOUT_SCORE, **more)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def test_feedback_without_a_score_is_acted_on() -> None:
    told = ask("/v1/refine", QUESTION, "A country.", SAID, "Paris.")
    assert (told["answer"], told["stop_reason"]) == ("Paris.", "max_iterations")
    assert told["scores"] == [None, None]
    (iteration,) = told["trace"]["iterations"]
    assert iteration["feedback"] == {
        "text": SAID,
        "weaknesses": "It is no city.",
        "suggestions": "Name the city.",
        "score": None,
    }


def test_a_score_that_was_not_taught_is_not_heeded() -> None:
    said = ResponseText(feedback(9))
    assert read_feedback(said).score == 9
    assert read_feedback(said, WITHOUT_SCORE.components).score is None


@pytest.mark.parametrize("text", ["", "Looks fine to me.", "Overall Score: [[9]]"])
def test_feedback_with_none_of_its_parts_is_malformed(text: str) -> None:
    with pytest.raises(FormatError, match="neither 'Weaknesses:' nor 'Suggestions:'"):
        read_feedback(ResponseText(text), WITHOUT_SCORE.components)


def test_a_score_alone_is_feedback_of_a_model_taught_nothing_else() -> None:
    only_score = replace(FORMAT, components=("score",))
    read = read_feedback(ResponseText("Overall Score: [[4]]"), only_score.components)
    assert (read.score, read.weaknesses) == (4, "")


def test_malformed_feedback_ends_the_loop_with_the_best_so_far() -> None:
    told = ask("/v1/refine", QUESTION, "A country.", "Fine.", "Fine.")
    assert (told["answer"], told["stop_reason"]) == ("A country.", "malformed_feedback")
    assert told["trace"]["malformed"] == 2


def test_a_default_that_needs_scores_is_left_out() -> None:
    policy = DefaultPolicy(max_iterations=2, good_enough=2, keep="best")
    replies = ("A country.", SAID, "Paris.", SAID, "Paris it is.")
    told = ask("/v1/refine", QUESTION, *replies, policy=policy)
    assert (told["answer"], told["iterations"]) == ("Paris it is.", 2)
    assert list(told["usage"]["phases"]) == ["draft", "feedback", "refinement"]
    assert told["usage"]["phases"]["feedback"]["calls"] == 2  # none to score the last


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/v1/refine", {"good_enough": 8}, "good_enough"),
        ("/v1/refine", {"keep": "best"}, "keep"),
        ("/v1/refine", {"drafts": 2}, "drafts"),
        ("/v1/chat/completions", {"refine": {"keep": "best"}}, "refine.keep"),
    ],
)
def test_a_request_that_needs_scores_is_refused_by_name(
    path: str, body: dict[str, Any], field: str
) -> None:
    asked = QUESTION if path == "/v1/refine" else {"messages": [{"role": "user", "content": "Hi"}]}
    answer = post(path, {**asked, **body}, srt_format=WITHOUT_SCORE)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["param"] == field
    assert "the feedback of this model has none; leave it out" in error["message"]


def test_a_critic_with_scores_can_say_what_is_good_enough() -> None:
    critic = ScriptedEngine(feedback(9), name="strong", model="large")
    body = {**QUESTION, "good_enough": 8, "critic": "strong"}
    told = ask("/v1/refine", body, "Paris.", critics={"strong": srt_model(critic)})
    assert (told["answer"], told["stop_reason"]) == ("Paris.", "good_enough")


def test_direct_answers_need_no_scores() -> None:
    config = ServerConfig(good_enough=8)
    told = ask("/v1/refine", {**QUESTION, "max_iterations": 0}, "Paris.", config=config)
    assert told["answer"] == "Paris."


def test_feedback_alone_is_given_without_a_refinement() -> None:
    told = ask("/v1/feedback", {**QUESTION, "response": "A country."}, SAID)
    assert (told["feedback"], told["score"]) == (SAID, None)
    assert list(told["usage"]["phases"]) == ["feedback"]
