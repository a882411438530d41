"""OpenAI's ``prediction``: what the engine gets of it and what the client is told.
Spans: server/api, server/refine"""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import openai
import pytest

from redraft.server.api.schema.answers import ChatCompletion, RefineObject
from redraft.server.engine.base import EngineUnavailable
from redraft.server.engine.scripted_engine import Fail, ScriptedEngine
from redraft.server.model import ServedModel
from redraft.server.service import Service
from tests.server.api.test_chat_stream import events
from tests.server.api.test_direct import Layer
from tests.support.asgi import check_shape, send, srt_model
from tests.support.loops import feedback
from tests.support.serving import answering

CHAT = "/v1/chat/completions"
MESSAGES: Any = [{"role": "user", "content": "Capital of France?"}]
LYON, PARIS = "It is Lyon, of course", "It is Paris, of course"
LOOP = (LYON, feedback(3), PARIS)
COUNTS = ("accepted_prediction_tokens", "rejected_prediction_tokens")


def predicting(text: str = PARIS, **more: Any) -> dict[str, Any]:
    prediction = {"type": "content", "content": text}
    return {"model": "scripted:direct", "messages": MESSAGES, "prediction": prediction, **more}


def answer_of(engine: ScriptedEngine, body: Any, path: str = CHAT) -> httpx.Response:
    return asyncio.run(send(Service(srt_model(engine)), "POST", path, json=body))


def counts_in(usage: Any) -> tuple[int | None, ...]:
    details = usage["completion_tokens_details"]
    return tuple(details.get(name) for name in COUNTS)


def predicted_by_phase(engine: ScriptedEngine) -> list[str]:
    return [engine.decode(received.call.prediction) for received in engine.history]


def test_the_openai_sdk_sends_a_prediction_and_reads_what_it_was_good_for() -> None:
    engine = ScriptedEngine(PARIS, predicts=True)
    with answering(engine) as served:
        client = openai.OpenAI(base_url=served.v1, api_key="none")
        answer = client.chat.completions.create(
            model="scripted:direct",
            messages=MESSAGES,
            prediction={"type": "content", "content": "It is Paris, no doubt"},
        )
    assert answer.choices[0].message.content == PARIS
    assert predicted_by_phase(engine) == ["It is Paris, no doubt"]
    assert answer.usage and (details := answer.usage.completion_tokens_details)
    assert (details.accepted_prediction_tokens, details.rejected_prediction_tokens) == (3, 2)
    assert answer.usage.completion_tokens == 6  # those of the answer; no rejected one


def test_a_stream_that_tells_its_usage_tells_the_counts() -> None:
    body = predicting(stream=True, stream_options={"include_usage": True})
    answer = answer_of(ScriptedEngine(PARIS, predicts=True), body)
    assert counts_in(events(answer.text)[-1]["usage"]) == (5, 0)


def test_a_prediction_may_come_in_parts() -> None:
    engine = ScriptedEngine(PARIS, predicts=True)
    body = predicting()
    body["prediction"]["content"] = [{"type": "text", "text": t} for t in ("It is", " Paris")]
    answer_of(engine, body)
    assert predicted_by_phase(engine) == ["It is Paris"]


def test_with_refinement_it_predicts_the_draft_and_is_compared_with_the_answer() -> None:
    engine = ScriptedEngine(*LOOP, predicts=True)
    answer = answer_of(engine, predicting(model="scripted")).json()
    assert predicted_by_phase(engine) == [PARIS, "", LYON]
    assert answer["choices"][0]["message"]["content"] == PARIS
    assert counts_in(answer["usage"]) == (5, 0)
    check_shape(answer, ChatCompletion)


def test_every_draft_is_predicted() -> None:
    script = (LYON, PARIS, feedback(3), feedback(8), feedback(9), PARIS)
    engine = ScriptedEngine(*script, predicts=True)
    options = {"drafts": 2, "max_iterations": 0, "keep": "best"}
    answer_of(engine, predicting(model="scripted", refine=options))
    assert predicted_by_phase(engine)[:2] == [PARIS, PARIS]


def test_of_several_choices_all_are_counted() -> None:
    engine = ScriptedEngine(reply=lambda prompt, sampling: PARIS, predicts=True)
    answer = answer_of(engine, predicting(n=3)).json()
    assert counts_in(answer["usage"]) == (15, 0)


def test_the_engines_own_layer_gets_the_prediction_with_the_rest() -> None:
    engine, layer = ScriptedEngine(predicts=True), Layer()
    service = Service(ServedModel(engine, srt_model(engine).manifest, direct=layer.app))
    asyncio.run(send(service, "POST", CHAT, json=predicting(n=3)))
    assert layer.bodies[0]["prediction"] == predicting()["prediction"]


def test_a_response_to_refine_is_the_prediction_of_its_refinement() -> None:
    body = {"messages": MESSAGES, "response": LYON}
    engine = ScriptedEngine(feedback(3), PARIS, predicts=True)
    answer = answer_of(engine, body, "/v1/refine").json()
    assert counts_in(answer["usage"]) == (4, 1)
    assert predicted_by_phase(engine) == ["", LYON]
    check_shape(answer, RefineObject)


def test_a_response_that_is_kept_was_the_prediction_of_nothing() -> None:
    body = {"messages": MESSAGES, "response": LYON, "good_enough": 8}
    engine = ScriptedEngine(feedback(9), predicts=True)
    assert counts_in(answer_of(engine, body, "/v1/refine").json()["usage"]) == (None, None)


def test_an_answer_that_outlives_its_engine_is_counted() -> None:
    engine = ScriptedEngine(LYON, Fail(EngineUnavailable("gone")), predicts=True)
    answer = answer_of(engine, predicting(model="scripted")).json()
    assert answer["refine"]["stop_reason"] == "engine_failure"
    assert counts_in(answer["usage"]) == (4, 1)


@pytest.mark.parametrize(
    ("said", "accepted"),
    [("", 0), (PARIS, 5), ("No", 0), ("Well, it is Paris, of course it is Paris", 4), (LYON, 4)],
)
def test_accepted_and_rejected_tokens_are_those_of_the_prediction(said: str, accepted: int) -> None:
    answer = answer_of(ScriptedEngine(said, predicts=True), predicting()).json()
    assert counts_in(answer["usage"]) == (accepted, 5 - accepted)


def test_without_speculation_it_is_accepted_and_ignored() -> None:
    engine = ScriptedEngine(*LOOP)
    answer = answer_of(engine, predicting(model="scripted"))
    without = answer_of(ScriptedEngine(*LOOP), {"model": "scripted", "messages": MESSAGES})
    assert "redraft-warning" not in answer.headers
    assert predicted_by_phase(engine) == ["", "", ""]
    assert answer.json()["usage"] == without.json()["usage"]
    assert counts_in(answer.json()["usage"]) == (None, None)


@pytest.mark.parametrize("predicts", [True, False])
@pytest.mark.parametrize(
    ("prediction", "param"),
    [
        ("text", "prediction"),
        ([], "prediction"),
        ({}, "prediction.type"),
        ({"type": "content"}, "prediction.content"),
        ({"type": "text", "content": "a"}, "prediction.type"),
        ({"type": "content", "content": 1}, "prediction.content"),
        ({"type": "content", "content": None}, "prediction.content"),
        ({"type": "content", "content": ["a"]}, "prediction.content[0]"),
        ({"type": "content", "content": [{"type": "text"}]}, "prediction.content[0].text"),
        (
            {"type": "content", "content": [{"type": "image_url", "text": "a"}]},
            "prediction.content[0].type",
        ),
    ],
)
def test_a_malformed_prediction_is_refused_by_name(
    prediction: Any, param: str, predicts: bool
) -> None:
    body = {"messages": MESSAGES, "prediction": prediction}
    answer = answer_of(ScriptedEngine(*LOOP, predicts=predicts), body)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param


def test_completions_do_not_know_predictions() -> None:
    body = {"prompt": "Hi", "refine": {}, "prediction": {"type": "content", "content": "a"}}
    answer = answer_of(ScriptedEngine(*LOOP), body, "/v1/completions")
    assert answer.headers["redraft-warning"] == "unknown field 'prediction'"
