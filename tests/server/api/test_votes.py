"""Feedback votes through the API: in every answer that has feedback, and streamed.
Spans: server/api, server/refine/voting"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, cast

import openai
import pytest

from redraft.server.api.schema.answers import ChatCompletion, FeedbackObject, RefineObject
from redraft.server.config import ServerConfig
from redraft.server.engine.base import EngineUnavailable, Sampling
from redraft.server.engine.scripted_engine import Entry, Fail, ScriptedEngine
from redraft.server.options import ConfigError
from redraft.server.refine.policy import Policy
from redraft.server.refine.srt_format import SrtFormat
from redraft.server.service import Service
from tests.support.asgi import check_shape, post, send, srt_model
from tests.support.loops import FORMAT, WITHOUT_SCORE, feedback
from tests.support.serving import answering

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
MESSAGES = [{"role": "user", "content": "Capital of France?"}]
SCORES = (9, 2, 4)
VOTES = {Policy(seed=7).seed_for("feedback", 1, 0, 1, vote): vote for vote in range(3)}


def reply(prompt: str, sampling: Sampling) -> Entry:
    if sampling.seed in VOTES:
        vote = VOTES[sampling.seed]
        return feedback(SCORES[vote], weaknesses=f"Weakness {vote}.")
    return "Paris" if "Overall Score" in prompt else "Lyon"


def ask(path: str, **body: Any) -> Any:
    service = Service(srt_model(ScriptedEngine(reply=reply)))
    return asyncio.run(send(service, "POST", path, json={"seed": 7, **body})).json()


def test_a_chat_tells_every_vote_in_its_trace() -> None:
    answer = ask(CHAT, messages=MESSAGES, refine={"feedback_votes": 3, "trace": True})
    check_shape(answer, ChatCompletion)
    assert answer["choices"][0]["message"]["content"] == "Paris"
    assert answer["refine"]["scores"] == [5, None]
    assert answer["refine"]["usage"]["feedback"]["calls"] == 3
    (iteration,) = answer["refine"]["trace"]["iterations"]
    assert [vote["score"] for vote in iteration["feedback"]["votes"]] == [9, 2, 4]


def test_the_reasoning_has_the_vote_that_was_seen_and_the_one_that_was_followed() -> None:
    answer = ask(CHAT, messages=MESSAGES, refine={"feedback_votes": 3})
    reasoning = answer["choices"][0]["message"]["reasoning"]
    assert "**Feedback**\n\nWeaknesses: Weakness 0." in reasoning
    middle = "**Feedback in the middle of 3 votes (9, 2, 4)**\n\nWeaknesses: Weakness 2."
    assert middle in reasoning
    assert "Weakness 1." not in reasoning


FAILED = Fail(EngineUnavailable("gone"), "Weaknesses: Hm")


@pytest.mark.parametrize("checks", [[], [{"kind": "starts", "text": "Paris"}]])
@pytest.mark.parametrize("first", [None, "Hm.", FAILED, replace(FAILED, text="")])
def test_the_sdk_streams_the_same_reasoning(first: Entry | None, checks: list[Any]) -> None:
    """Whatever becomes of the vote that is seen while it is written."""

    def replied(prompt: str, sampling: Sampling) -> Entry:
        is_first = VOTES.get(sampling.seed or 0) == 0
        return first if first is not None and is_first else reply(prompt, sampling)

    refine: dict[str, Any] = {"feedback_votes": 3}
    if checks:
        refine |= {"checks": checks, "feedback_by": "model", "keep": "last", "max_iterations": 1}
    body = {"model": "scripted", "messages": MESSAGES, "seed": 7, "refine": refine}
    with answering(ScriptedEngine(reply=replied)) as served:
        client = openai.OpenAI(base_url=served.v1, api_key="none")
        whole = client.post("/chat/completions", body=body, cast_to=object)
        stream = client.chat.completions.create(
            model="scripted",
            messages=[{"role": "user", "content": "Capital of France?"}],
            seed=7,
            stream=True,
            extra_body={"refine": refine},
        )
        deltas = [chunk.choices[0].delta for chunk in stream if chunk.choices]
    assert "".join(delta.content or "" for delta in deltas) == "Paris"
    reasoning = "".join(getattr(delta, "reasoning", None) or "" for delta in deltas)
    message = cast(Any, whole)["choices"][0]["message"]
    assert (message["content"], reasoning) == ("Paris", message["reasoning"])
    assert f"Weakness {2 if first is None else 1}." in reasoning


def test_completions_and_refine_take_votes() -> None:
    body: dict[str, Any] = {"prompt": "Capital of France?"}
    completion = ask(COMPLETIONS, **body, refine={"feedback_votes": 3})
    assert completion["refine"]["usage"]["feedback"]["calls"] == 3
    refined = ask("/v1/refine", **body, feedback_votes=3)
    check_shape(refined, RefineObject)
    assert len(refined["trace"]["iterations"][0]["feedback"]["votes"]) == 3


def test_feedback_alone_tells_its_votes() -> None:
    answer = ask("/v1/feedback", prompt="Capital of France?", response="Lyon", feedback_votes=3)
    check_shape(answer, FeedbackObject)
    assert (answer["score"], answer["weaknesses"]) == (5, "Weakness 2.")
    assert [vote["score"] for vote in answer["votes"]] == [9, 2, 4]


@pytest.mark.parametrize(
    ("refine", "param", "message"),
    [
        ({"feedback_votes": 9}, "feedback_votes", "this server allows 8 at most"),
        ({"feedback_votes": 3, "feedback_by": "off"}, "feedback_votes", "feedback_by is 'off'"),
        (
            {"feedback_votes": 3, "feedback_sampling": {"temperature": 0}},
            "feedback_votes",
            "temperature above 0",
        ),
    ],
)
def test_votes_that_could_decide_nothing_are_refused(
    refine: dict[str, Any], param: str, message: str
) -> None:
    answer = post(CHAT, {"messages": MESSAGES, "refine": refine})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == f"refine.{param}"
    assert message in answer.json()["error"]["message"]


@pytest.mark.parametrize(("taught", "status"), [(FORMAT, 200), (WITHOUT_SCORE, 400)])
def test_votes_need_scores(taught: SrtFormat, status: int) -> None:
    body = {"messages": MESSAGES, "refine": {"feedback_votes": 2}}
    script = ("Lyon", feedback(3), feedback(5), "Paris")
    assert post(CHAT, body, *script, srt_format=taught).status_code == status


def test_an_operator_has_votes_by_default_where_a_model_gives_feedback() -> None:
    config = ServerConfig(feedback_votes=2)
    script = ("Lyon", feedback(3), feedback(5), "Paris")
    answer = post(CHAT, {"messages": MESSAGES}, *script, config=config).json()
    assert answer["refine"]["scores"] == [4, None]
    off = {"messages": MESSAGES, "refine": {"feedback_by": "off"}}
    assert post(CHAT, off, "Lyon", "Paris", config=config).status_code == 200
    greedy = {"messages": MESSAGES, "refine": {"feedback_sampling": {"temperature": 0}}}
    assert post(CHAT, greedy, "Lyon", feedback(3), "Paris", config=config).status_code == 200


def test_feedback_without_scores_stays_greedy_where_votes_are_the_default() -> None:
    engine = ScriptedEngine("Lyon", feedback(3), "Paris")
    service = Service(srt_model(engine, srt_format=WITHOUT_SCORE))
    config = ServerConfig(feedback_votes=2)
    asyncio.run(send(service, "POST", CHAT, config, json={"messages": MESSAGES}))
    assert [call.sampling.temperature for call in engine.history[1:]] == [0, 0]


def test_a_default_above_the_cap_stops_the_start() -> None:
    with pytest.raises(ConfigError, match="feedback_votes is 9, more than the max_votes_cap of 8"):
        ServerConfig(feedback_votes=9)


@pytest.mark.parametrize("path", [CHAT, "/v1/refine"])
def test_votes_without_iterations_are_refused(path: str) -> None:
    fields = {"feedback_votes": 3, "max_iterations": 0}
    at = "refine." if path == CHAT else ""
    answer = ask(path, messages=MESSAGES, **({"refine": fields} if at else fields))
    assert answer["error"]["param"] == f"{at}feedback_votes"
    assert "has no effect without iterations" in answer["error"]["message"]
    drafts = fields | {"drafts": 2, "temperature": 1.0} if not at else fields | {"drafts": 2}
    answer = ask(path, messages=MESSAGES, **({"refine": drafts} if at else drafts))
    assert "error" not in answer  # each draft gets its votes


def test_the_operators_votes_are_no_fault_of_a_request_without_iterations() -> None:
    config = ServerConfig(feedback_votes=3)
    service = Service(srt_model(ScriptedEngine(reply=reply)))
    body = {"messages": MESSAGES, "refine": {"max_iterations": 0}}
    assert asyncio.run(send(service, "POST", CHAT, config, json=body)).status_code == 200
