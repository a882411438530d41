"""What a new user tries first, with stock clients against `redraft serve smollm2` on real vLLM.
Spans: server/api, server/refine, server/engine"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.support import smollm2
from tests.support.program import Program, running

pytestmark = [pytest.mark.vllm, pytest.mark.slow]

SEA = "Write two sentences about the sea. Do not use any commas."
LONG = "Write a long poem about the sea, of at least forty lines."
CUT = "was cut at max_tokens 50 (more may help)"
NO_ROOM = "max_completion_tokens left no room to refine the answer"


@pytest.fixture(scope="module")
def program() -> Iterator[Program]:
    smollm2.or_skip()
    with running(smollm2.NAME) as program:
        yield program


@pytest.fixture(scope="module")
def chats(program: Program) -> Any:
    client = openai.OpenAI(base_url=f"{program.url}/v1", api_key="none", max_retries=0)
    return client.chat.completions


def asked(text: str, **more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": text}]
    return {"model": smollm2.NAME, "messages": messages, "temperature": 0, **more}


def test_a_request_that_says_nothing_ends_and_its_feedback_can_be_read(chats: Any) -> None:
    completion = chats.create(**asked(SEA))
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage.completion_tokens < 1024 + 512 + 1024
    refine = completion.refine
    assert "malformed" not in refine
    assert refine["scores"][0] in range(1, 11)
    assert refine["stop_reason"] in ("max_iterations", "no_change", "good_enough")


def test_max_tokens_of_150_leaves_feedback_that_can_be_read(chats: Any) -> None:
    refine = chats.create(**asked(SEA, max_tokens=150)).refine
    assert "malformed" not in refine
    assert refine["scores"][0] in range(1, 11)


def test_an_answer_cut_at_max_tokens_of_50_says_so_where_clients_look(chats: Any) -> None:
    answer = chats.with_raw_response.create(**asked(LONG, max_tokens=50))
    (choice,) = answer.parse().choices
    assert choice.finish_reason == "length"
    assert CUT in answer.headers["redraft-warning"]
    assert CUT in choice.message.reasoning.splitlines()[0]


def streamed(chats: Any, request: dict[str, Any]) -> tuple[str, str, list[str]]:
    """Content, reasoning and finish reasons."""
    content = reasoning = ""
    reasons = []
    for chunk in chats.create(**request, stream=True):
        for choice in chunk.choices:
            content += choice.delta.content or ""
            reasoning += getattr(choice.delta, "reasoning", None) or ""
            reasons += [choice.finish_reason] if choice.finish_reason else []
    return content, reasoning, reasons


def test_a_stream_cut_at_max_tokens_of_50_ends_with_length(chats: Any) -> None:
    content, reasoning, reasons = streamed(chats, asked(LONG, max_tokens=50))
    assert content
    assert "Overall Score" in reasoning
    assert reasons == ["length"]


def test_a_stream_whose_answer_is_chosen_at_its_end_says_so_in_its_reasoning(chats: Any) -> None:
    request = asked(LONG, max_tokens=50, extra_body={"refine": {"keep": "best"}})
    _, reasoning, reasons = streamed(chats, request)
    assert CUT in reasoning.splitlines()[-1]
    assert reasons == ["length"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_draft_that_a_total_leaves_unrefined_says_so(chats: Any, stream: bool) -> None:
    request = asked("What is the capital of France?", max_completion_tokens=12)
    if not stream:
        answer = chats.with_raw_response.create(**request)
        message = answer.parse().choices[0].message
        assert answer.headers["redraft-warning"] == NO_ROOM
        assert message.reasoning.splitlines()[0] == f"Note: {NO_ROOM}."
        assert message.content == "The capital of France is Paris."
        return
    content, reasoning, _ = streamed(chats, request)
    assert reasoning.splitlines()[-1] == f"Note: {NO_ROOM}."
    assert content == "The capital of France is Paris."


def test_tools_on_a_model_without_any_name_the_option_of_this_server(chats: Any) -> None:
    tools = [{"type": "function", "function": {"name": "weather", "parameters": {}}}]
    for model in (smollm2.NAME, f"{smollm2.NAME}:direct"):
        with pytest.raises(openai.BadRequestError, match="--tool-call-parser NAME"):
            chats.create(**asked("Weather in Oslo?", tools=tools) | {"model": model})


def test_a_chat_longer_than_the_window_has_openais_words_and_code(chats: Any) -> None:
    for model in (smollm2.NAME, f"{smollm2.NAME}:direct"):
        with pytest.raises(openai.BadRequestError, match="maximum context length is 8192") as error:
            chats.create(**asked("word " * 9000) | {"model": model})
        assert error.value.code == "context_length_exceeded"


@pytest.mark.parametrize("model", [smollm2.NAME, f"{smollm2.NAME}:direct"])
def test_log_probabilities_end_where_a_stop_string_cuts_the_text(chats: Any, model: str) -> None:
    request = asked("What is the capital of France?", stop=["Paris"], logprobs=True)
    (choice,) = chats.create(**request | {"model": model}).choices
    assert choice.message.content.startswith("The capital of France is")
    spelled = "".join(entry.token for entry in choice.logprobs.content)
    assert spelled == choice.message.content
