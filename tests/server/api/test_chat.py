"""POST /v1/chat/completions, not streamed: what clients get, and what engines are asked."""

from __future__ import annotations

import asyncio
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from redraft.server.api.schema.answers import ChatCompletion
from redraft.server.engine.base import Call, Constraint, EngineUnavailable, Sampling
from redraft.server.engine.scripted_engine import Fail, ReceivedCall, ScriptedEngine
from redraft.server.model import ServedModel
from redraft.server.refine.manifest import DefaultPolicy
from redraft.server.refine.trace_json import PHASES
from redraft.server.service import Service
from tests.support.asgi import check_shape, post, send, srt_model
from tests.support.clock import let_pass
from tests.support.loops import feedback
from tests.support.serving import Pause, answering

PATH = "/v1/chat/completions"
MESSAGES: Any = [{"role": "user", "content": "Capital of France?"}]
LOOP = ("Lyon", feedback(3), "Paris")


def chat(*script: Any, **body: Any) -> dict[str, Any]:
    answer = post(PATH, {"messages": MESSAGES, **body}, *script)
    assert answer.status_code == 200, answer.text
    result: dict[str, Any] = answer.json()
    check_shape(result, ChatCompletion)
    return result


def calls(*script: Any, **body: Any) -> list[ReceivedCall]:
    """The engine's calls, phase by phase."""
    engine = ScriptedEngine(*(script or LOOP))
    service = Service(srt_model(engine))
    answer = asyncio.run(send(service, "POST", PATH, json={"messages": MESSAGES, **body}))
    assert answer.status_code == 200, answer.text
    return engine.history


def samplings(*script: Any, **body: Any) -> list[Sampling]:
    return [call.sampling for call in calls(*script, **body)]


def test_the_content_is_the_answer_and_the_rest_is_reasoning() -> None:
    message = chat(*LOOP)["choices"][0]["message"]
    assert message["content"] == "Paris"
    assert message["reasoning"] == f"**Draft**\n\nLyon\n\n**Feedback**\n\n{feedback(3)}"
    assert message["reasoning_content"] == message["reasoning"]


def test_the_stock_client_reads_it_all() -> None:
    with answering(ScriptedEngine(*LOOP)) as served:
        client = openai.OpenAI(base_url=served.v1, api_key="none")
        answer = client.chat.completions.create(model="scripted", messages=MESSAGES)
    assert answer.choices[0].message.content == "Paris"
    assert answer.choices[0].message.model_extra is not None
    assert "Lyon" in answer.choices[0].message.model_extra["reasoning"]
    assert answer.usage is not None
    assert answer.usage.completion_tokens_details is not None
    assert answer.usage.completion_tokens_details.reasoning_tokens
    assert answer._request_id


def test_the_stock_client_parses_structured_answers() -> None:
    class Animals(BaseModel):
        animals: list[str]

    script = ('{"animals": []}', feedback(3), '{"animals": ["ant", "bee"]}')
    with answering(ScriptedEngine(*script)) as served:
        client = openai.OpenAI(base_url=served.v1, api_key="none")
        result = client.chat.completions.parse(
            model="scripted", messages=MESSAGES, response_format=Animals
        )
    assert result.choices[0].message.parsed == Animals(animals=["ant", "bee"])


def test_usage_sums_all_phases_and_reasoning_is_all_but_the_answer() -> None:
    result = chat(*LOOP)
    phases = result["refine"]["usage"]
    assert list(phases) == ["draft", "feedback", "refinement", "bound"]
    usage = result["usage"]
    for name in ("prompt_tokens", "completion_tokens"):
        assert usage[name] == sum(phases[phase][name] for phase in PHASES)
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    answer_tokens = phases["refinement"]["completion_tokens"]
    reasoning = usage["completion_tokens_details"]["reasoning_tokens"]
    assert reasoning == usage["completion_tokens"] - answer_tokens
    cached = usage["prompt_tokens_details"]["cached_tokens"]
    assert cached == sum(phase["cached_tokens"] for phase in (phases[p] for p in PHASES)) > 0


def test_refine_says_how_the_answer_came_about() -> None:
    refine = chat(*LOOP)["refine"]
    assert (refine["stop_reason"], refine["iterations"]) == ("max_iterations", 1)
    assert (refine["kept"], refine["scores"]) == (1, [3, None])
    assert refine["prompt_tokens"] == refine["usage"]["draft"]["prompt_tokens"]
    assert "trace" not in refine


def test_the_trace_comes_when_asked_for() -> None:
    trace = chat(*LOOP, refine={"trace": True})["refine"]["trace"]
    assert trace["drafts"][0]["text"] == "Lyon"
    assert trace["iterations"][0]["refinement"]["text"] == "Paris"


def test_headers_tell_scripts_what_happened() -> None:
    answer = post(PATH, {"messages": MESSAGES}, *LOOP)
    assert answer.headers["refine-iterations"] == "1"
    assert answer.headers["refine-stop-reason"] == "max_iterations"


def test_a_good_draft_is_the_answer() -> None:
    result = chat("Paris", feedback(9), refine={"good_enough": 9})
    assert result["choices"][0]["message"]["content"] == "Paris"
    assert result["refine"]["stop_reason"] == "good_enough"
    assert result["refine"]["kept"] == 0


def test_the_best_response_is_kept_when_asked_for() -> None:
    result = chat("Paris", feedback(8), "Lyon", feedback(2), refine={"keep": "best"})
    assert result["choices"][0]["message"]["content"] == "Paris"
    assert result["refine"]["scores"] == [8, 2]
    assert "**Refinement**\n\nLyon" in result["choices"][0]["message"]["reasoning"]


def test_several_drafts_are_ranked() -> None:
    def reply(prompt: str, sampling: Sampling) -> str:
        if "<|900|>" not in prompt:  # the marker
            return "Paris" if sampling.seed and sampling.seed % 2 else "Lyon"
        return feedback(9 if "Paris" in prompt else 2)

    engine = ScriptedEngine(reply=reply)
    body = {"messages": MESSAGES, "seed": 5, "refine": {"drafts": 6, "max_iterations": 0}}
    answer = asyncio.run(send(Service(srt_model(engine)), "POST", PATH, json=body)).json()
    assert answer["choices"][0]["message"]["content"] == "Paris"
    assert "**Feedback on draft 6**" in answer["choices"][0]["message"]["reasoning"]


def test_sampling_is_for_drafts_and_refinements_are_greedy() -> None:
    draft, of_feedback, refinement = samplings(temperature=0.9, top_p=0.5, presence_penalty=1.5)
    assert (draft.temperature, draft.top_p, draft.presence_penalty) == (0.9, 0.5, 1.5)
    for greedy in (of_feedback, refinement):
        assert (greedy.temperature, greedy.top_p, greedy.presence_penalty) == (0.0, None, None)


def test_each_phase_can_be_sampled_its_own_way() -> None:
    refine = {
        "draft": {"temperature": 1.1},
        "feedback_sampling": {"temperature": 0.2, "max_tokens": 90},
        "refinement": {"temperature": 0.3, "stop": "END"},
    }
    draft, of_feedback, refinement = samplings(temperature=0.9, refine=refine)
    assert (draft.temperature, of_feedback.temperature, refinement.temperature) == (1.1, 0.2, 0.3)
    assert of_feedback.max_tokens == 90
    assert refinement.stop == ("END",)


def test_what_shapes_a_response_holds_for_drafts_and_refinements_but_not_for_feedback() -> None:
    schema = {"type": "object"}
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    draft, of_feedback, refinement = samplings(
        max_tokens=50, stop=["END"], response_format=form, logit_bias={"7": -5}
    )
    for shaped in (draft, refinement):
        assert (shaped.max_tokens, shaped.stop) == (50, ("END",))
        assert shaped.constraint == Constraint("json_schema", '{"type": "object"}')
        assert shaped.logit_bias == ((7, -5.0),)
    assert (of_feedback.stop, of_feedback.constraint, of_feedback.logit_bias) == ((), None, ())
    assert of_feedback.max_tokens != 50


@pytest.mark.parametrize(
    ("body", "constraint"),
    [
        ({"response_format": {"type": "json_object"}}, Constraint("json_object")),
        ({"response_format": {"type": "text"}}, None),
        ({"structured_outputs": {"regex": "a+"}}, Constraint("regex", "a+")),
        ({"structured_outputs": {"choice": ["a", "b"]}}, Constraint("choice", '["a", "b"]')),
        (
            {"structured_outputs": {"grammar": "a"}},
            Constraint("grammar", "a"),
        ),
        ({"structured_outputs": {"json": {"a": 1}}}, Constraint("json_schema", '{"a": 1}')),
        ({"structured_outputs": {"json_object": True}}, Constraint("json_object")),
    ],
)
def test_every_way_to_constrain_a_text(body: dict[str, Any], constraint: Constraint) -> None:
    assert samplings(**body)[0].constraint == constraint


def test_max_tokens_bounds_each_response() -> None:
    result = chat("a b c d", feedback(3), "e f g h", max_tokens=2)
    assert result["choices"][0]["message"]["content"] == "e f"
    assert result["choices"][0]["finish_reason"] == "length"


@pytest.mark.parametrize("most", [1, 5, 12, 16, 30])
def test_max_completion_tokens_bounds_everything_generated(most: int) -> None:
    result = chat("a b c d", feedback(3), "e f g h", max_completion_tokens=most)
    assert result["usage"]["completion_tokens"] <= most
    assert result["choices"][0]["message"]["content"]


def test_max_completion_tokens_cuts_a_draft_when_that_is_all_there_is() -> None:
    result = chat("a b c d", max_completion_tokens=3)
    assert result["choices"][0]["message"]["content"] == "a b c"
    assert result["choices"][0]["finish_reason"] == "length"
    assert result["refine"]["stop_reason"] == "token_budget"


def test_a_seed_gives_each_phase_its_own_and_always_the_same() -> None:
    first, again = samplings(seed=3), samplings(seed=3)
    assert [s.seed for s in first] == [s.seed for s in again]
    assert len({s.seed for s in first}) == 3
    assert [s.seed for s in samplings(seed=4)] != [s.seed for s in first]


def test_old_reasoning_in_the_history_is_dropped_and_parts_are_joined() -> None:
    messages = [
        {"role": "developer", "content": "Be brief."},
        {
            "role": "user",
            "content": [{"type": "text", "text": "Hi"}, {"type": "text", "text": "!"}],
        },
        {"role": "assistant", "content": "Hello", "reasoning": "OLD", "reasoning_content": "OLD"},
        {"role": "tool", "content": "42", "tool_call_id": "x"},
        {"role": "user", "content": "Capital of France?"},
    ]
    prompts = [call.text for call in calls(messages=messages)]
    assert not any("OLD" in prompt for prompt in prompts)
    assert "<|system|>\nBe brief." in prompts[0]
    assert "Hi\n!" in prompts[0]


@pytest.mark.parametrize("body", [{"include_reasoning": False}, {"reasoning": {"exclude": True}}])
def test_reasoning_can_be_left_out(body: dict[str, Any]) -> None:
    assert chat(*LOOP, **body)["choices"][0]["message"] == {
        "role": "assistant",
        "content": "Paris",
        "refusal": None,
    }


@pytest.mark.parametrize(
    ("field", "names"),
    [
        ("reasoning", {"reasoning"}),
        ("reasoning_content", {"reasoning_content"}),
        ("none", set()),
    ],
)
def test_the_operator_chooses_the_reasoning_field(field: str, names: set[str]) -> None:
    with answering(ScriptedEngine(*LOOP), reasoning_field=field) as served:
        client = openai.OpenAI(base_url=served.v1, api_key="none")
        answer = client.chat.completions.create(model="scripted", messages=MESSAGES)
    assert set(answer.choices[0].message.model_extra or {}) == names


def test_reasoning_can_be_part_of_the_content() -> None:
    with answering(ScriptedEngine(*LOOP), reasoning_field="inline_think") as served:
        client = openai.OpenAI(base_url=served.v1, api_key="none")
        answer = client.chat.completions.create(model="scripted", messages=MESSAGES)
    content = answer.choices[0].message.content
    assert content is not None
    assert content.startswith("<think>\n**Draft**\n\nLyon")
    assert content.endswith("\n</think>\n\nParis")


def test_the_callers_feedback_takes_the_place_of_the_models() -> None:
    result = chat("Lyon", "Paris", refine={"feedback": "Lyon is not the capital."})
    assert result["choices"][0]["message"]["content"] == "Paris"
    assert "**Feedback**\n\nLyon is not" in result["choices"][0]["message"]["reasoning"]


def test_a_critic_is_chosen_by_its_name() -> None:
    engine = ScriptedEngine("Lyon", "Paris")
    critic = ScriptedEngine(feedback(2), name="strong", has_tokens=False)
    service = Service(srt_model(engine), {"strong": ServedModel(critic)})
    body = {"messages": MESSAGES, "refine": {"critic": "strong"}}
    answer = asyncio.run(send(service, "POST", PATH, json=body)).json()
    assert answer["choices"][0]["message"]["content"] == "Paris"
    assert len(critic.history) == 1


def test_an_engine_that_fails_after_the_draft_costs_the_refinement_only() -> None:
    result = chat("Lyon", Fail(EngineUnavailable("gone"), "Weak"))
    assert result["choices"][0]["message"]["content"] == "Lyon"
    assert result["refine"]["stop_reason"] == "engine_failure"
    assert result["refine"]["failure"] == "gone"


def test_an_engine_that_fails_within_the_draft_is_an_error_clients_do_not_repeat() -> None:
    answer = post(PATH, {"messages": MESSAGES}, Fail(EngineUnavailable("gone"), "Ly on"))
    assert answer.status_code == 503
    assert answer.headers["x-should-retry"] == "false"
    assert "retry-after" not in answer.headers


def test_a_deadline_ends_with_the_best_so_far() -> None:
    async def gate(call: Call, position: int) -> None:
        if "feedback-1" in call.request_id:
            let_pass(61)
            await asyncio.Event().wait()

    engine = ScriptedEngine(*LOOP, gate=gate)
    body = {"messages": MESSAGES, "refine": {"deadline_ms": 60_000}}
    answer = asyncio.run(send(Service(srt_model(engine)), "POST", PATH, json=body)).json()
    assert answer["choices"][0]["message"]["content"] == "Lyon"
    assert answer["refine"]["stop_reason"] == "deadline"


def test_feedback_that_could_not_be_read_is_counted() -> None:
    assert chat("Lyon", "Bad.", feedback(3), "Paris")["refine"]["malformed"] == 1
    twice = chat("Lyon", "Bad.", "Worse.")["refine"]
    assert (twice["malformed"], twice["stop_reason"]) == (2, "malformed_feedback")
    assert "malformed" not in chat(*LOOP)["refine"]


def test_a_deadline_before_there_is_a_draft_is_a_gateway_timeout() -> None:
    engine = ScriptedEngine(*LOOP, gate=Pause("draft-0", 0))
    body = {"messages": MESSAGES, "refine": {"deadline_ms": 100}}
    answer = asyncio.run(send(Service(srt_model(engine)), "POST", PATH, json=body))
    assert answer.status_code == 504
    assert answer.json()["error"]["code"] == "deadline_exceeded"
    assert answer.headers["x-should-retry"] == "false"


@pytest.mark.parametrize(
    "body",
    [{"model": "scripted:direct"}, {"reasoning_effort": "none"}, {"refine": {"max_iterations": 0}}],
)
def test_without_refinement_there_is_no_reasoning(body: dict[str, Any]) -> None:
    result = chat("Lyon", **body)
    assert result["choices"][0]["message"] == {
        "role": "assistant",
        "content": "Lyon",
        "refusal": None,
    }
    assert result["usage"]["completion_tokens_details"]["reasoning_tokens"] == 0
    assert result["model"] == "scripted"


def test_the_manifest_and_the_operator_set_the_defaults() -> None:
    script = ("a", feedback(3), "b", feedback(4), "c")
    answer = post(PATH, {"messages": MESSAGES}, *script, policy=DefaultPolicy(max_iterations=2))
    assert answer.json()["refine"]["iterations"] == 2


def test_unknown_fields_at_the_top_are_let_through() -> None:
    assert chat(*LOOP, some_new_field={"a": 1}, metadata={"k": "v"}, user="me", store=True)


def test_a_message_has_the_nulls_of_openais_objects() -> None:
    choice = post(PATH, {"messages": MESSAGES}, *LOOP).json()["choices"][0]
    assert choice["logprobs"] is None
    assert choice["message"]["refusal"] is None
