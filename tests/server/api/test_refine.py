"""POST /v1/refine: the loop with everything it wrote, its options, and what it refuses."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redraft.server.admission import Admission
from redraft.server.api.schema.answers import RefineObject
from redraft.server.api.schema.refine import RefineRequest
from redraft.server.config import ServerConfig
from redraft.server.engine.base import EngineUnavailable
from redraft.server.engine.scripted_engine import Fail, ScriptedEngine, demo_reply
from redraft.server.refine.interrupt import Interrupt
from redraft.server.refine.manifest import DefaultPolicy
from redraft.server.service import Service
from redraft.server.telemetry.traces import TraceStore
from tests.support.asgi import check_shape, post, send, srt_model
from tests.support.clock import let_pass
from tests.support.examples import examples
from tests.support.loops import feedback
from tests.support.stored import stored_lines

QUESTION = {"prompt": "Capital of France?"}


def refine(body: dict[str, Any], *script: Any, **more: Any) -> dict[str, Any]:
    answer = post("/v1/refine", body, *script, **more)
    assert answer.status_code == 200, answer.text
    result: dict[str, Any] = answer.json()
    check_shape(result, RefineObject)  # every field is one that /docs describes
    return result


def error_of(body: Any, *script: Any, **more: Any) -> tuple[int, dict[str, Any]]:
    answer = post("/v1/refine", body, *script, **more)
    detail: dict[str, Any] = answer.json()["error"]
    assert set(detail) == {"message", "type", "param", "code"}
    return answer.status_code, detail


def test_the_answer_comes_with_everything_that_was_written() -> None:
    written = feedback(4, "Not a city.", "Name the city.")
    result = refine(QUESTION, "A country.", written, "Paris is the capital.")
    assert result["object"] == "refine"
    assert result["model"] == "scripted"
    assert result["answer"] == "Paris is the capital."
    assert result["finish_reason"] == "stop"
    assert result["stop_reason"] == "max_iterations"
    assert (result["iterations"], result["kept"], result["scores"]) == (1, 1, [4, None])
    (draft,) = result["trace"]["drafts"]
    assert draft == {"text": "A country.", "finish_reason": "stop", "tokens": 3}
    (iteration,) = result["trace"]["iterations"]
    assert iteration["feedback"] == {
        "text": written,
        "weaknesses": "Not a city.",
        "suggestions": "Name the city.",
        "score": 4,
    }
    assert iteration["refinement"]["text"] == "Paris is the capital."


def test_usage_adds_up_over_the_phases() -> None:
    usage = refine(QUESTION, "A country.", feedback(4), "Paris.")["usage"]
    assert list(usage["phases"]) == ["draft", "feedback", "refinement"]
    for name in ("prompt_tokens", "completion_tokens"):
        assert usage[name] == sum(phase[name] for phase in usage["phases"].values())
    cached = sum(phase["cached_tokens"] for phase in usage["phases"].values())
    assert usage["prompt_tokens_details"]["cached_tokens"] == cached > 0
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    hidden = usage["completion_tokens_details"]["reasoning_tokens"]
    assert hidden == usage["completion_tokens"] - usage["phases"]["refinement"]["completion_tokens"]
    assert [phase["calls"] for phase in usage["phases"].values()] == [1, 1, 1]


def test_the_trace_can_be_left_out() -> None:
    result = refine({**QUESTION, "trace": False}, "Paris.", feedback(9), "Paris.")
    assert "trace" not in result


def test_a_chat_is_an_instruction_too() -> None:
    engine = ScriptedEngine("Paris.")
    chat = [
        {"role": "system", "content": "Answer in one word."},
        {"role": "user", "content": [{"type": "text", "text": "Capital of France?"}]},
    ]
    body = {"messages": chat, "max_iterations": 0}
    answer = asyncio.run(send(Service(srt_model(engine)), "POST", "/v1/refine", json=body))
    assert answer.json()["answer"] == "Paris."
    assert "Answer in one word." in engine.history[0].text
    assert "Capital of France?" in engine.history[0].text


def test_a_score_that_is_good_enough_ends_the_loop() -> None:
    result = refine({**QUESTION, "max_iterations": 3, "good_enough": 9}, "Paris.", feedback(9))
    assert (result["stop_reason"], result["answer"], result["kept"]) == ("good_enough", "Paris.", 0)


def test_without_iterations_the_draft_is_the_answer() -> None:
    result = refine({**QUESTION, "max_iterations": 0}, "Paris.")
    assert (result["answer"], result["iterations"], list(result["usage"]["phases"])) == (
        "Paris.",
        0,
        ["draft"],
    )


@pytest.mark.parametrize(
    ("model", "iterations"),
    [("scripted", 1), ("scripted:direct", 0), ("scripted:refine", 1), ("scripted:refine-2", 2)],
)
def test_the_name_of_the_model_may_say_how_often_to_refine(model: str, iterations: int) -> None:
    script = ("a", feedback(1), "b", feedback(2), "c")
    result = refine({**QUESTION, "model": model}, *script)
    assert (result["iterations"], result["model"]) == (iterations, "scripted")


def test_the_field_wins_over_the_name_of_the_model() -> None:
    body = {**QUESTION, "model": "scripted:direct", "max_iterations": 1}
    assert refine(body, "a", feedback(1), "b")["iterations"] == 1


def test_keeping_the_best_scores_the_last_response_too() -> None:
    body = {**QUESTION, "keep": "best"}
    result = refine(body, "Paris.", feedback(8), "Lyon.", feedback(3))
    assert (result["answer"], result["kept"], result["scores"]) == ("Paris.", 0, [8, 3])


def test_of_several_drafts_the_best_is_refined() -> None:
    def reply(prompt: str, sampling: Any) -> str:
        if prompt.endswith("<901>") or "901" in prompt[-8:]:
            return "Paris, in France."
        return feedback(6) if "900" in prompt[-8:] else f"Draft {sampling.seed}"

    engine = ScriptedEngine(reply=reply)
    body = {**QUESTION, "drafts": 3, "seed": 1, "max_iterations": 0}
    answer = asyncio.run(send(Service(srt_model(engine)), "POST", "/v1/refine", json=body))
    result = answer.json()
    check_shape(result, RefineObject)
    assert len({draft["text"] for draft in result["trace"]["drafts"]}) == 3
    assert result["answer"] == result["trace"]["drafts"][result["trace"]["picked"]]["text"]


def test_a_response_that_exists_is_improved_without_a_draft() -> None:
    body = {**QUESTION, "response": "Lyon."}
    result = refine(body, feedback(2), "Paris.")
    assert result["trace"]["drafts"] == [{"text": "Lyon.", "finish_reason": "stop", "tokens": 0}]
    assert result["answer"] == "Paris."
    assert list(result["usage"]["phases"]) == ["feedback", "refinement"]


def test_the_feedback_of_the_caller_is_acted_on() -> None:
    body = {**QUESTION, "response": "Lyon.", "feedback": "That is not the capital."}
    result = refine(body, "Paris.")
    (iteration,) = result["trace"]["iterations"]
    assert iteration["feedback"]["text"] == "That is not the capital."
    assert (iteration["feedback"]["score"], result["answer"]) == (None, "Paris.")


def test_a_critic_is_chosen_by_name_and_writes_the_feedback() -> None:
    critic = ScriptedEngine(feedback(3), name="strong", model="large")
    body = {**QUESTION, "critic": "strong"}
    result = refine(body, "Lyon.", "Paris.", critics={"strong": srt_model(critic)})
    assert (result["answer"], result["scores"]) == ("Paris.", [3, None])
    assert len(critic.history) == 1


def test_each_phase_can_be_sampled_in_its_own_way() -> None:
    engine = ScriptedEngine("a b", feedback(1), "c d e")
    body = {
        **QUESTION,
        "temperature": 0.9,
        "draft": {"max_tokens": 5},
        "feedback_sampling": {"temperature": 0.2},
        "refinement": {"max_tokens": 2},
        "stop": "END",
    }
    answer = asyncio.run(send(Service(srt_model(engine)), "POST", "/v1/refine", json=body))
    draft, of_feedback, refinement = (call.sampling for call in engine.history)
    assert (draft.temperature, draft.max_tokens) == (0.9, 5)
    assert (of_feedback.temperature, "END" in of_feedback.stop) == (0.2, False)
    assert (refinement.temperature, refinement.max_tokens) == (0.0, 2)
    assert "END" in draft.stop
    assert "END" in refinement.stop
    assert answer.json()["finish_reason"] == "stop"


def test_the_same_seed_asks_the_engine_for_the_same() -> None:
    def seeds() -> list[int | None]:
        engine = ScriptedEngine("a", feedback(1), "b")
        body = {**QUESTION, "seed": 7}
        asyncio.run(send(Service(srt_model(engine)), "POST", "/v1/refine", json=body))
        return [call.sampling.seed for call in engine.history]

    assert seeds() == seeds()
    assert len(set(seeds())) == 3


@pytest.mark.parametrize(
    ("options", "script", "reason", "text"),
    [
        ({"token_budget": 2}, ("Paris.", feedback(2)), "token_budget", "Paris."),
        ({}, ("Paris.", Fail(EngineUnavailable("gone"))), "engine_failure", "Paris."),
        ({}, ("Paris.", "nice", "very nice"), "malformed_feedback", "Paris."),
        ({"max_iterations": 2}, ("Paris.", feedback(2), "Paris."), "no_change", "Paris."),
    ],
)
def test_whatever_goes_wrong_after_the_draft_the_best_so_far_is_the_answer(
    options: dict[str, Any], script: tuple[Any, ...], reason: str, text: str
) -> None:
    result = refine({**QUESTION, **options}, *script)
    assert (result["stop_reason"], result["answer"]) == (reason, text)


def test_a_deadline_ends_the_loop_with_what_there_is() -> None:
    async def test() -> dict[str, Any]:
        async def gate(call: Any, position: int) -> None:
            if "feedback" in call.request_id:
                let_pass(61)
                await asyncio.Event().wait()

        engine = ScriptedEngine("Paris.", feedback(2), gate=gate)
        body = {**QUESTION, "deadline_ms": 60_000}
        answer = await send(Service(srt_model(engine)), "POST", "/v1/refine", json=body)
        assert engine.running == 0
        result: dict[str, Any] = answer.json()
        return result

    result = asyncio.run(test())
    assert (result["stop_reason"], result["answer"]) == ("deadline", "Paris.")


def test_without_any_draft_it_is_an_error() -> None:
    status, detail = error_of(QUESTION, Fail(EngineUnavailable("the engine is gone")))
    assert (status, detail["type"], detail["code"]) == (503, "server_error", "engine_unavailable")


def test_every_loop_is_stored_where_a_store_is_configured(tmp_path: Any) -> None:
    store = TraceStore(tmp_path)
    result = refine(QUESTION, "Lyon.", feedback(2), "Paris.", traces=store)
    store.close()
    (stored,) = stored_lines(tmp_path)
    assert (stored["id"], stored["answer"], stored["model"]) == (result["id"], "Paris.", "scripted")
    assert stored["iterations"] == result["trace"]["iterations"]


def test_a_full_server_says_when_to_come_back() -> None:
    async def test() -> None:
        service = Service(
            srt_model(ScriptedEngine()), admission=Admission(ServerConfig(max_loops=1, max_queue=0))
        )
        async with service.admission.place("somebody", Interrupt()):
            answer = await send(service, "POST", "/v1/refine", json=QUESTION)
        assert (answer.status_code, answer.json()["error"]["type"]) == (429, "rate_limit_error")
        assert 1 <= int(answer.headers["retry-after"]) <= 120

    asyncio.run(test())


def test_a_draining_server_sends_new_work_away() -> None:
    async def test() -> None:
        service = Service(srt_model(ScriptedEngine()))
        await service.drain(0)
        answer = await send(service, "POST", "/v1/refine", json=QUESTION)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "shutting_down")

    asyncio.run(test())


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "messages"),
        ([], None),
        ({"prompt": ""}, "prompt"),
        ({"prompt": 5}, "prompt"),
        ({"prompt": "a", "messages": [{"role": "user", "content": "a"}]}, "prompt"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "nobody", "content": "a"}]}, "messages[0].role"),
        ({**QUESTION, "max_iteration": 1}, "max_iteration"),
        ({**QUESTION, "refine": {"max_iterations": 1}}, "refine"),
        ({**QUESTION, "max_iterations": -1}, "max_iterations"),
        ({**QUESTION, "max_iterations": "2"}, "max_iterations"),
        ({**QUESTION, "max_iterations": 9}, "max_iterations"),
        ({**QUESTION, "good_enough": 11}, "good_enough"),
        ({**QUESTION, "keep": "worst"}, "keep"),
        ({**QUESTION, "drafts": 0}, "drafts"),
        ({**QUESTION, "drafts": 99}, "drafts"),
        ({**QUESTION, "drafts": 2, "temperature": 0}, "drafts"),
        ({**QUESTION, "drafts": 2, "feedback": "Better."}, "feedback"),
        ({**QUESTION, "critic": "http://127.0.0.1/"}, "critic"),
        ({**QUESTION, "deadline_ms": 0}, "deadline_ms"),
        ({**QUESTION, "token_budget": -1}, "token_budget"),
        ({**QUESTION, "model": "gpt-5"}, "model"),
        ({**QUESTION, "stream": "yes"}, "stream"),
        ({**QUESTION, "feedback": "Better.", "max_iterations": 0}, "feedback"),
        ({**QUESTION, "response": ""}, "response"),
        ({**QUESTION, "response": "a", "drafts": 2}, "drafts"),
        ({**QUESTION, "response": "a", "draft": {"max_tokens": 3}}, "draft"),
        ({**QUESTION, "response": "a", "max_iterations": 0}, "max_iterations"),
        ({**QUESTION, "draft": {"max_tokens": 0}}, "draft.max_tokens"),
        ({**QUESTION, "refinement": {"temperatur": 1}}, "refinement.temperatur"),
        ({**QUESTION, "prompt": "word " * 5000}, "prompt"),
    ],
)
def test_a_wrong_request_is_told_which_field_is_wrong(body: Any, param: str | None) -> None:
    status, detail = error_of(body)
    assert status in (400, 404), detail
    assert detail["type"] == "invalid_request_error"
    if param == "messages":
        assert detail["param"].startswith("messages"), detail
    else:
        assert detail["param"] == param, detail
    assert len(detail["message"]) < 600


def test_an_unknown_field_is_told_the_known_ones() -> None:
    _, detail = error_of({**QUESTION, "max_iteration": 1})
    assert detail["code"] == "unknown_parameter"
    for known in ("max_iterations", "good_enough", "keep", "prompt", "response"):
        assert known in detail["message"]


def test_what_the_operator_set_is_the_default() -> None:
    chosen = ServerConfig(max_iterations=2, good_enough=8)
    result = refine(QUESTION, "a", feedback(1), "b", feedback(8), config=chosen)
    assert (result["stop_reason"], result["iterations"]) == ("good_enough", 1)


def test_what_the_manifest_measured_best_is_the_default() -> None:
    policy = DefaultPolicy(max_iterations=3, good_enough=5, keep="best")
    result = refine(QUESTION, "a", feedback(5), policy=policy)
    assert result["stop_reason"] == "good_enough"


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=5,
)
PLAUSIBLE = {
    "prompt": st.text(min_size=1, max_size=20),
    "response": st.text(max_size=20),
    "feedback": st.text(max_size=20),
    "max_iterations": st.integers(-1, 9),
    "good_enough": st.integers(0, 11),
    "keep": st.sampled_from(["best", "last", "worst"]),
    "drafts": st.integers(0, 4),
    "token_budget": st.integers(-1, 30),
    "max_tokens": st.integers(0, 30),
    "max_completion_tokens": st.integers(0, 30),
    "seed": st.integers(),
    "stream": st.booleans(),
    "trace": st.booleans(),
    "stop": st.text(max_size=3),
    "temperature": st.floats(-1, 3),
}
# A deadline may pass or not, as fast as the machine is.
FIELDS = sorted(RefineRequest.model_fields.keys() - {"deadline_ms"})


@settings(deadline=None, max_examples=examples(60))
@given(
    st.fixed_dictionaries({}, optional=PLAUSIBLE),
    st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=8), ANYTHING, max_size=2),
)
def test_no_request_whatever_breaks_the_server(
    plausible: dict[str, Any], odd: dict[str, Any]
) -> None:
    service = Service(srt_model(ScriptedEngine(reply=demo_reply)))
    body = {**QUESTION, **plausible, **odd}
    answer = asyncio.run(send(service, "POST", "/v1/refine", json=body))
    assert answer.status_code in (200, 400, 404), answer.text
    if answer.status_code != 200:
        assert answer.json()["error"]["message"]
    elif body.get("stream"):
        assert answer.text.splitlines()[-3] == "event: refine.completed"
    else:
        check_shape(answer.json(), RefineObject)


@pytest.mark.parametrize("name", ["tools", "tool_choice", "parallel_tool_calls", "functions"])
@pytest.mark.parametrize("path", ["/v1/refine", "/v1/feedback"])
def test_tools_are_sent_to_the_route_that_takes_them(path: str, name: str) -> None:
    answer = post(path, {**QUESTION, "response": "Paris", name: []}, "Paris")
    detail = answer.json()["error"]
    assert (answer.status_code, detail["code"]) == (400, "unknown_parameter")
    assert detail["param"] == name
    assert "/v1/chat/completions" in detail["message"]
