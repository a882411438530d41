"""Thinking and tools on real vLLM: a tiny Qwen3 that does both, asked as OpenAI's clients ask.
Spans: server/api, server/refine, server/engine/vllm_engine"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from redraft.server.api.app import build_app
from redraft.server.config import ServerConfig
from redraft.server.engine.base import Call, Chat, ChatOptions, Message, Sampling, complete
from redraft.server.engine.vllm_engine.families import parsers
from redraft.server.model import ServedModel
from redraft.server.service import Service
from tests.support import thinker
from tests.support.thinker import DRAFT, RAIN, REFINEMENT, THOUGHT, TOOL, TOOL_THOUGHT
from tests.support.tiny_engine import Running, running_engine, tiny_settings

pytestmark = pytest.mark.vllm

SUM: Any = [{"role": "user", "content": thinker.SUM}]
WEATHER: Any = [{"role": "user", "content": thinker.WEATHER}]
GREEDY = Sampling(temperature=0.0, max_tokens=100)
NAMED = {"type": "function", "function": {"name": "weather"}}
NAMES = ["thinker", "thinker:direct"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return thinker.build(tmp_path_factory.mktemp("thinker"))


@pytest.fixture(scope="module")
def running(model: Path) -> Iterator[Running]:
    with running_engine(model, served_name="thinker") as running:
        yield running


def client_of(running: Running) -> openai.AsyncOpenAI:
    engine = running.engine
    app = build_app(ServerConfig(), Service(ServedModel(engine, direct=engine.direct)))
    transport: Any = httpx.AsyncClient(transport=httpx.ASGITransport(app))
    return openai.AsyncOpenAI(base_url="http://test/v1", api_key="none", http_client=transport)


def ask(running: Running, messages: Any, **body: Any) -> Any:
    """A chat, answered whole."""
    asked = {"model": "thinker", "temperature": 0, "max_tokens": 200, **body}
    return running.run(client_of(running).chat.completions.create(messages=messages, **asked))


def streamed(running: Running, messages: Any, **body: Any) -> Any:
    """The same, put together from a stream by the SDK; its reasoning beside it."""

    async def read() -> Any:
        asked = {"model": "thinker", "temperature": 0, "max_tokens": 200, **body}
        reasoning = ""
        chats = client_of(running).chat.completions
        async with chats.stream(messages=messages, **asked) as stream:
            async for event in stream:
                if event.type == "chunk":
                    for choice in event.chunk.choices:
                        reasoning += getattr(choice.delta, "reasoning", None) or ""
            return await stream.get_final_completion(), reasoning

    return running.run(read())


def completed(running: Running, messages: Any, options: ChatOptions, **sampling: Any) -> Any:
    chat = Chat(tuple(map(Message.from_json, messages)), options)
    return running.run(
        complete(running.engine, chat, replace(GREEDY, **sampling), Call("completed"))
    )


# -- thinking ---------------------------------------------------------------------------------


def test_the_parsers_are_those_of_its_family(model: Path) -> None:
    assert parsers(tiny_settings(model)) == ("qwen3", "hermes")
    assert parsers(tiny_settings(model, reasoning_parser="none")) == (None, "hermes")
    assert parsers(tiny_settings(model, tool_call_parser="qwen3_xml")) == ("qwen3", "qwen3_xml")


def test_a_thought_is_told_from_the_text(running: Running) -> None:
    completion = completed(running, SUM, ChatOptions())
    assert completion.thought.strip() == THOUGHT
    assert completion.text.strip() == DRAFT
    assert 0 < completion.usage.thought_tokens < completion.usage.completion_tokens


def test_it_does_not_think_where_it_must_not(running: Running) -> None:
    completion = completed(running, SUM, ChatOptions(think=False))
    assert (completion.thought, completion.text) == ("", DRAFT)
    assert completion.token_ids == running.run(running.engine.encode(DRAFT))


def test_a_budget_ends_its_thoughts(running: Running) -> None:
    completion = completed(running, SUM, ChatOptions(think_tokens=3))
    assert len(completion.thought) < len(THOUGHT)
    assert completion.usage.thought_tokens <= 4


def test_a_constraint_holds_for_its_text_and_not_for_its_thoughts(running: Running) -> None:
    from redraft.server.engine.base import Constraint

    constraint = Constraint("choice", json.dumps(["It is 4.", "It is 5."]))
    completion = completed(running, SUM, ChatOptions(), constraint=constraint)
    assert completion.thought.strip() == THOUGHT
    assert completion.text.strip() in ("It is 4.", "It is 5.")


def test_the_loop_refines_what_it_drafted_after_thinking(running: Running) -> None:
    completion = ask(running, SUM)
    message = completion.choices[0].message
    assert message.content == REFINEMENT
    assert message.reasoning.startswith(f"**Thoughts**\n\n{THOUGHT}")
    assert DRAFT in message.reasoning
    assert completion.refine["stop_reason"] == "max_iterations"
    assert completion.refine["usage"]["draft"]["thought_tokens"] > 0
    assert "thought_tokens" not in completion.refine["usage"]["feedback"]


def test_a_stream_thinks_first(running: Running) -> None:
    completion, reasoning = streamed(running, SUM)
    assert completion.choices[0].message.content == REFINEMENT
    assert reasoning.startswith(f"**Thoughts**\n\n{THOUGHT}")


def test_its_own_name_without_refinement_keeps_thoughts_apart(running: Running) -> None:
    whole = ask(running, SUM, model="thinker:direct").choices[0].message
    completion, reasoning = streamed(running, SUM, model="thinker:direct")
    assert whole.content.strip() == DRAFT == completion.choices[0].message.content.strip()
    assert whole.reasoning.strip() == THOUGHT == reasoning.strip()


def test_thinking_is_switched_off_by_refine_and_by_the_template(running: Running) -> None:
    for extra in ({"refine": {"think": "none"}}, {"chat_template_kwargs": {"enable_thinking": 0}}):
        message = ask(running, SUM, extra_body=extra).choices[0].message
        assert "Thoughts" not in message.reasoning
        assert message.content == REFINEMENT


# -- tools ------------------------------------------------------------------------------------


def is_called(completion: Any, choice: Any) -> bool:
    """Whether the one tool is called; with the city where the model itself chose to call it."""
    (called,) = completion.choices[0].message.tool_calls
    arguments = json.loads(called.function.arguments)
    city = arguments.pop("city")
    right = city == thinker.CITY if choice == "auto" else isinstance(city, str)
    return called.function.name == "weather" and right and not arguments


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("choice", ["auto", "required", NAMED])
def test_a_tool_is_called(running: Running, name: str, choice: Any) -> None:
    completion = ask(running, WEATHER, model=name, tools=[TOOL], tool_choice=choice)
    assert is_called(completion, choice)
    assert completion.choices[0].finish_reason == "tool_calls"
    assert completion.refine["stop_reason"] == "tool_calls"
    assert TOOL_THOUGHT in completion.choices[0].message.reasoning


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("choice", ["auto", "required", NAMED])
def test_a_call_is_streamed(running: Running, name: str, choice: Any) -> None:
    completion, reasoning = streamed(running, WEATHER, model=name, tools=[TOOL], tool_choice=choice)
    assert is_called(completion, choice)
    assert completion.choices[0].finish_reason == "tool_calls"
    assert TOOL_THOUGHT in reasoning


def test_no_tool_is_called_where_none_may_be(running: Running) -> None:
    completion = ask(running, WEATHER, model="thinker:direct", tools=[TOOL], tool_choice="none")
    assert not completion.choices[0].message.tool_calls


def test_words_are_refined_though_there_are_tools(running: Running) -> None:
    completion = ask(running, SUM, tools=[TOOL])
    assert completion.choices[0].message.content == REFINEMENT
    assert completion.refine["stop_reason"] == "max_iterations"


def test_the_result_of_a_tool_is_answered(running: Running) -> None:
    messages = [message.to_json() for message in thinker.asked_weather()]
    completion = ask(running, messages, model="thinker:direct", tools=[TOOL])
    assert completion.choices[0].message.content.strip() == RAIN


def test_the_prompt_is_the_same_by_whoever_renders_it(running: Running) -> None:
    """vLLM's renderer and ours: what the loop counts and continues is what the model read."""
    for think, choice in ((None, "auto"), (False, "auto"), (None, "required")):
        options = ChatOptions(tools=(TOOL,), think=think, tool_choice=choice)
        messages = thinker.asked_weather()
        ids = running.run(running.engine.encode_chat(messages, options))
        chat = Chat(messages, options)
        completion = running.run(complete(running.engine, chat, GREEDY, Call("rendered")))
        assert completion.usage.prompt_tokens == len(ids)


def test_a_server_without_a_parser_names_its_option(model: Path) -> None:
    with running_engine(model, served_name="thinker", tool_call_parser="none") as running:
        with pytest.raises(openai.BadRequestError, match="--tool-call-parser"):
            ask(running, WEATHER, tools=[TOOL])
        assert ask(running, SUM).choices[0].message.content == REFINEMENT
