"""Every field that OpenAI's clients and vLLM's know is supported, accepted as a hint, or refused
by name; what nobody knows is named in a warning."""

from __future__ import annotations

import asyncio
import typing
from typing import Any

import httpx
import pytest
from openai.types import completion_create_params as completion_params
from openai.types.chat import completion_create_params as chat_params

from redraft.server.api import fields, unsupported
from redraft.server.api.schema.requests import ChatRequest, CompletionRequest, RefineOptions
from redraft.server.engine.scripted_engine import ScriptedEngine, demo_reply
from redraft.server.service import Service
from tests.support.asgi import send, srt_model

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
MESSAGES: Any = [{"role": "user", "content": "Hi"}]
FUNCTION: Any = {"name": "search", "parameters": {}}


def ask(path: str, body: dict[str, Any]) -> httpx.Response:
    prompt = {"messages": MESSAGES} if path == CHAT else {"prompt": "Hi", "refine": {}}
    service = Service(srt_model(ScriptedEngine(reply=demo_reply)))
    return asyncio.run(send(service, "POST", path, json={**prompt, **body}))


# A value of each parameter, and what becomes of it here.
SUPPORTED: dict[str, Any] = {
    "frequency_penalty": 0.5,
    "logit_bias": {"7": 1},
    "max_completion_tokens": 400,
    "logprobs": True,
    "max_tokens": 40,
    "messages": MESSAGES,
    "model": "scripted",
    "n": 2,
    "prediction": {"type": "content", "content": "x"},
    "presence_penalty": 0.5,
    "prompt": "Hi",
    "reasoning_effort": "low",
    "response_format": {"type": "text"},
    "seed": 1,
    "stop": ["."],
    "stream": True,
    "stream_options": {"include_usage": True},
    "temperature": 0.5,
    "tools": [{"type": "function", "function": FUNCTION}],
    "top_logprobs": 0,
    "top_p": 0.5,
    "user": "me",
}
HINTS: dict[str, Any] = {
    "metadata": {"a": "b"},
    "parallel_tool_calls": False,
    "prompt_cache_key": "x",
    "prompt_cache_options": {"mode": "implicit"},
    "prompt_cache_retention": "24h",
    "safety_identifier": "x",
    "service_tier": "flex",
    "store": True,
    "verbosity": "low",
}
REFUSED: dict[str, Any] = {
    "audio": {"voice": "alloy", "format": "mp3"},
    "best_of": 2,
    "echo": True,
    "function_call": {"name": "search"},
    "functions": [FUNCTION],
    "modalities": ["text", "audio"],
    "moderation": {"model": "omni-moderation"},
    "suffix": ".",
    "tool_choice": "required",
    "web_search_options": {},
}
VALUES = SUPPORTED | HINTS | REFUSED


def parameters(module: Any) -> set[str]:
    kinds = (
        module.CompletionCreateParamsNonStreaming,
        module.CompletionCreateParamsStreaming,
    )
    return {name for kind in kinds for name in typing.get_type_hints(kind)}


@pytest.mark.parametrize(
    ("path", "name"),
    [(CHAT, name) for name in sorted(parameters(chat_params))]
    + [(COMPLETIONS, name) for name in sorted(parameters(completion_params))],
)
def test_every_parameter_of_the_openai_sdk_is_accepted_or_refused_by_name(
    path: str, name: str
) -> None:
    value = 1 if (path, name) == (COMPLETIONS, "logprobs") else VALUES[name]
    answer = ask(path, {name: value} | ({"stream": True} if name == "stream_options" else {}))
    if name in REFUSED:
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, name)
        assert name in answer.json()["error"]["message"]
    else:
        assert answer.status_code == 200, answer.text
    assert "redraft-warning" not in answer.headers


@pytest.mark.vllm
@pytest.mark.parametrize("declared", [ChatRequest, CompletionRequest])
def test_every_field_of_vllms_own_server_is_known(declared: Any) -> None:
    from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
    from vllm.entrypoints.openai.completion.protocol import CompletionRequest as Theirs

    theirs = ChatCompletionRequest if declared is ChatRequest else Theirs
    known = {*declared.model_fields, *fields.HINTS, *unsupported.DIRECT, *unsupported.NOWHERE}
    assert not theirs.model_fields.keys() - known


def test_the_summary_of_reasoning_is_a_hint() -> None:
    assert ask(CHAT, {"reasoning": {"effort": "low", "summary": "auto"}}).status_code == 200


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
@pytest.mark.parametrize("stream", [False, True])
def test_an_unknown_field_is_named_with_the_one_it_resembles(path: str, stream: bool) -> None:
    answer = ask(path, {"temprature": 0, "stream": stream})
    assert answer.status_code == 200
    expected = "unknown field 'temprature' (did you mean 'temperature'?)"
    assert answer.headers["redraft-warning"] == expected


def test_unknown_fields_that_resemble_none_are_named_alone() -> None:
    answer = ask(CHAT, {"xyzzy": 1, "plugh": 1})
    assert answer.headers["redraft-warning"] == "unknown fields 'xyzzy', 'plugh'"


def test_a_null_is_no_field() -> None:
    answer = ask(CHAT, {"xyzzy": None, "max_iterations": None})
    assert answer.status_code == 200
    assert "redraft-warning" not in answer.headers


@pytest.mark.parametrize("name", sorted(RefineOptions.model_fields))
@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
def test_a_field_of_refine_at_the_top_level_is_refused_with_its_place(path: str, name: str) -> None:
    answer = ask(path, {name: 1})
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, name)
    assert f'"refine": {{"{name}": ...}}' in error["message"]


@pytest.mark.parametrize(
    "hostile",
    [
        {"a\r\nset-cookie: x": 1},
        {"x" * 1_000_000: 1},
        {f"field{number}" * 20: 1 for number in range(20_000)},
        {"émoji🌊": 1, "\x00": 1},
        {"temperature" * 90_000: 1},
    ],
    ids=["injection", "long", "many", "unprintable", "resembling"],
)
def test_hostile_field_names_make_a_short_safe_warning(hostile: dict[str, Any]) -> None:
    answer = ask(CHAT, hostile)
    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers
    warning = answer.headers["redraft-warning"]
    assert warning.isascii() and warning.isprintable() and len(warning) <= 300
