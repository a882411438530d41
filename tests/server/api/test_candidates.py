"""Candidates that are combined, and votes on answers, through the API.
Spans: server/api, server/refine/combining"""

from __future__ import annotations

import asyncio
from typing import Any, cast

import openai
import pytest

from redraft.server.api.schema.answers import ChatCompletion, RefineObject
from redraft.server.config import ServerConfig
from redraft.server.engine.base import EngineUnavailable, Sampling
from redraft.server.engine.scripted_engine import Entry, Fail, ScriptedEngine
from redraft.server.model import ServedModel
from redraft.server.refine.policy import Policy
from redraft.server.refine.requests import Requests
from redraft.server.refine.srt_format import SrtFormat
from redraft.server.service import Service
from tests.support.asgi import check_shape, post, send, srt_model
from tests.support.loops import FORMAT, WITHOUT_SCORE, feedback
from tests.support.serving import answering

CHAT, REFINE = "/v1/chat/completions", "/v1/refine"
MESSAGES = [{"role": "user", "content": "Capital of France?"}]
DRAFTS = ("Lyon it is", "It is Paris", "Paris it is")
SEED = 7
COMBINE: dict[str, Any] = {"drafts": 3, "combine": "candidates"}
PLACE = {
    Policy(seed=SEED).seed_for(phase, iteration, index, 1): (phase, iteration, index)
    for phase in ("draft", "feedback", "refinement")
    for iteration in range(4)
    for index in range(3)
}


def reply(prompt: str, sampling: Sampling) -> Entry:
    phase, iteration, index = PLACE[sampling.seed]
    if phase == "feedback":
        return feedback(4 + index, weaknesses=f"Weakness {index}.")
    return DRAFTS[index] if phase == "draft" else f"Paris {iteration} {index}"


def failing(prompt: str, sampling: Sampling) -> Entry:
    first = PLACE[sampling.seed] == ("draft", 0, 1)
    return Fail(EngineUnavailable("gone"), "Half") if first else reply(prompt, sampling)


def ask(path: str, engine: ScriptedEngine | None = None, **body: Any) -> Any:
    service = Service(srt_model(engine or ScriptedEngine(reply=reply)))
    return asyncio.run(send(service, "POST", path, json={"seed": SEED, **body})).json()


def test_a_chat_answers_with_what_was_written_from_all_drafts() -> None:
    answer = ask(CHAT, messages=MESSAGES, refine={**COMBINE, "trace": True})
    check_shape(answer, ChatCompletion)
    assert answer["choices"][0]["message"]["content"] == "Paris 1 0"
    assert answer["refine"]["usage"]["draft"]["calls"] == 3
    assert answer["refine"]["usage"]["refinement"]["calls"] == 1
    trace = answer["refine"]["trace"]
    assert [draft["feedback"]["score"] for draft in trace["drafts"]] == [4, 5, 6]
    total = sum(phase["completion_tokens"] for phase in answer["refine"]["usage"].values())
    assert answer["usage"]["completion_tokens"] == total


def test_refine_tells_every_candidate() -> None:
    answer = ask(REFINE, prompt="Capital of France?", max_iterations=2, **COMBINE)
    check_shape(answer, RefineObject)
    first, last = answer["trace"]["iterations"]
    assert [c["text"] for c in first["candidates"]] == ["Paris 1 0", "Paris 1 1", "Paris 1 2"]
    assert first["refinement"]["text"] == "Paris 1 2"
    assert "candidates" not in last
    assert (answer["answer"], answer["iterations"]) == ("Paris 2 0", 2)
    assert answer["scores"] == [6, 6, None]


@pytest.mark.parametrize("said", [reply, failing])
@pytest.mark.parametrize("iterations", [1, 2])
def test_the_sdk_streams_the_first_draft_and_then_the_answer(said: Any, iterations: int) -> None:
    refine = {**COMBINE, "max_iterations": iterations}
    body = {"model": "scripted", "messages": MESSAGES, "seed": SEED, "refine": refine}
    with answering(ScriptedEngine(reply=said)) as served:
        client = openai.OpenAI(base_url=served.v1, api_key="none")
        whole = client.post("/chat/completions", body=body, cast_to=object)
        stream = client.chat.completions.create(
            model="scripted",
            messages=[{"role": "user", "content": "Capital of France?"}],
            seed=SEED,
            stream=True,
            stream_options={"include_usage": True},
            extra_body={"refine": refine},
        )
        chunks = list(stream)
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    reasoning = "".join(getattr(delta, "reasoning", None) or "" for delta in deltas)
    content = [delta.content for delta in deltas if delta.content]
    message = cast(Any, whole)["choices"][0]["message"]
    assert "".join(content) == message["content"] == f"Paris {iterations} 0"
    assert len(content) > 1, "it came while it was written"
    if said is reply:
        assert reasoning == message["reasoning"]
        assert reasoning.startswith("**Draft 1**\n\nLyon it is\n\n**Feedback on draft 1**")
    assert ("Candidate 2 of iteration 1" in reasoning) == (iterations == 2)
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == cast(Any, whole)["usage"]["completion_tokens"]


def test_refine_streams_its_candidates_as_events() -> None:
    body = {"prompt": "Capital of France?", "stream": True, "max_iterations": 2, **COMBINE}
    service = Service(srt_model(ScriptedEngine(reply=reply)))
    text = asyncio.run(send(service, "POST", REFINE, json={"seed": SEED, **body})).text
    names = [line[7:] for line in text.splitlines() if line.startswith("event: ")]
    assert names.count("refine.draft.done") == 3
    assert names.count("refine.candidate.done") == 3
    assert names.count("refine.iteration.done") == 2
    assert names.index("refine.draft.delta") < names.index("refine.draft.done")


def test_each_choice_combines_candidates_of_its_own() -> None:
    replies = iter(f"text {number}" for number in range(99))
    engine = ScriptedEngine(reply=lambda prompt, sampling: next(replies))
    refine = {**COMBINE, "feedback_by": "off"}
    answer = ask(CHAT, engine, messages=MESSAGES, n=2, refine=refine)
    check_shape(answer, ChatCompletion)
    assert len(answer["choices"]) == 2
    assert len({call.sampling.seed for call in engine.history}) == 8


def test_candidates_that_did_not_fit_are_told() -> None:
    texts = iter(["long " * 40, "b", "c", "new"])
    engine = ScriptedEngine(reply=lambda prompt, sampling: next(texts), window=120)
    refine = {**COMBINE, "feedback_by": "off"}
    config = ServerConfig(end_repetition=False)
    service = Service(srt_model(engine))
    body = {"messages": MESSAGES, "max_tokens": 60, "refine": refine}
    answer = asyncio.run(send(service, "POST", CHAT, config, json=body))
    assert answer.json()["refine"]["left_out"] == [0]
    told = "1 of 3 candidates did not fit the model's window"
    assert told in answer.headers["redraft-warning"]
    assert told in answer.json()["choices"][0]["message"]["reasoning"]


def test_self_consistency_asks_for_drafts_alone() -> None:
    refine = {"drafts": 3, "max_iterations": 0, "keep": "vote", "feedback_by": "off"}
    texts = iter(["Lyon", "It is Paris: #### Paris", "paris"])
    engine = ScriptedEngine(reply=lambda prompt, sampling: next(texts))
    answer = ask(CHAT, engine, messages=MESSAGES, refine={**refine, "trace": True})
    check_shape(answer, ChatCompletion)
    assert answer["choices"][0]["message"]["content"] == "It is Paris: #### Paris"
    assert (answer["refine"]["kept"], answer["refine"]["kept_candidate"]) == (0, 1)
    assert list(answer["refine"]["usage"]) == ["draft"]


@pytest.mark.parametrize(
    ("refine", "param", "message"),
    [
        ({"combine": "candidates"}, "combine", "of which there is one"),
        ({"combine": "candidates", "drafts": 1}, "combine", "of which there is one"),
        ({**COMBINE, "max_iterations": 0}, "combine", "allow max_iterations of 1"),
        ({**COMBINE, "subset": 4}, "subset", "is 4, more than the 3 drafts"),
        ({"drafts": 3, "subset": 2}, "subset", "combine 'candidates'"),
        ({**COMBINE, "subset": 0}, "subset", "1"),
        ({**COMBINE, "drafts": 9}, "drafts", "8 at most"),
        ({**COMBINE, "feedback": "No."}, "feedback", "one response"),
        ({**COMBINE, "draft": {"temperature": 0}}, "drafts", "temperature"),
        ({"combine": "all", "drafts": 2}, "combine", "candidates"),
        ({"drafts": 2, "feedback_by": "off"}, "drafts", "needs scores"),
    ],
)
def test_what_could_combine_nothing_is_refused(
    refine: dict[str, Any], param: str, message: str
) -> None:
    answer = post(CHAT, {"messages": MESSAGES, "refine": refine})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == f"refine.{param}"
    assert message in answer.json()["error"]["message"]


@pytest.mark.parametrize("taught", [FORMAT, WITHOUT_SCORE])
def test_combining_needs_no_scores(taught: SrtFormat) -> None:
    script = ("Lyon", "Nice", feedback(3), feedback(4), "Paris")
    refine = {"drafts": 2, "combine": "candidates"}
    body = {"messages": MESSAGES, "refine": refine}
    answer = post(CHAT, body, *script, srt_format=taught)
    assert answer.json()["choices"][0]["message"]["content"] == "Paris"


def test_an_operators_request_for_a_refinement_is_used_for_several() -> None:
    requests = Requests(refinement="Rewrite it. {feedback}")
    texts = iter(["Lyon", "Nice", "Paris"])
    engine = ScriptedEngine(reply=lambda prompt, sampling: next(texts))
    service = Service(ServedModel(engine, requests=requests))
    refine = {"drafts": 2, "combine": "candidates", "feedback_by": "off"}
    body = {"messages": MESSAGES, "refine": refine}
    answer = asyncio.run(send(service, "POST", CHAT, json=body)).json()
    assert answer["choices"][0]["message"]["content"] == "Paris"
    assert "Rewrite it. There are other responses" in engine.history[-1].text
    assert "Nice" in engine.history[-1].text
