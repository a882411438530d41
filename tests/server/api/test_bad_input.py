"""Everything a request can have wrong: each answered with a 4xx in OpenAI's form that names the
field, none with a 500, none with a token spent.
Spans: server/api"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from redraft.server.api.app import build_app
from redraft.server.config import ServerConfig
from redraft.server.engine.scripted_engine import ScriptedEngine, demo_reply
from redraft.server.service import Service
from tests.support.asgi import send_to, srt_model

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
USER = {"role": "user", "content": "Hi"}
SETTINGS = ServerConfig(max_body_mib=20_000 / 2**20, max_messages=20, max_deadline_s=60)

# fields over a request that is right -> the field the error names
CHAT_FIELDS: list[tuple[dict[str, Any], str]] = [
    # types
    ({"messages": None}, "messages"),
    ({"messages": "Hi"}, "messages"),
    ({"messages": {}}, "messages"),
    ({"messages": ["Hi"]}, "messages[0]"),
    ({"messages": [{"role": "user"}]}, "messages[0].content"),
    ({"messages": [{"content": "Hi"}]}, "messages[0].role"),
    ({"messages": [{"role": "robot", "content": "Hi"}]}, "messages[0].role"),
    ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": {"type": "text"}}]}, "messages[0].content"),
    ({"messages": [USER, {"role": "user", "content": [7]}]}, "messages[1].content[0]"),
    ({"messages": [{"role": "user", "content": [{"text": "x"}]}]}, "messages[0].content[0].type"),
    (
        {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
        "messages[0].content[0].text",
    ),
    ({"model": 7}, "model"),
    ({"model": ["scripted"]}, "model"),
    ({"stream": "true"}, "stream"),
    ({"stream": 1}, "stream"),
    ({"temperature": "0.5"}, "temperature"),
    ({"temperature": True}, "temperature"),
    ({"temperature": []}, "temperature"),
    ({"max_tokens": "5"}, "max_tokens"),
    ({"max_tokens": 5.5}, "max_tokens"),
    ({"stop": 7}, "stop"),
    ({"stop": ["a", 7]}, "stop[1]"),
    ({"seed": "7"}, "seed"),
    ({"logit_bias": [1]}, "logit_bias"),
    ({"logit_bias": {"1": "a"}}, "logit_bias.1"),
    ({"tools": "search"}, "tools"),
    ({"response_format": "json"}, "response_format"),
    ({"include_reasoning": "no"}, "include_reasoning"),
    ({"refine": 3}, "refine"),
    ({"refine": "twice"}, "refine"),
    ({"refine": []}, "refine"),
    ({"refine": {"max_iterations": "2"}}, "refine.max_iterations"),
    ({"refine": {"max_iterations": True}}, "refine.max_iterations"),
    ({"refine": {"max_iterations": 1.5}}, "refine.max_iterations"),
    ({"refine": {"feedback": 7}}, "refine.feedback"),
    ({"refine": {"draft": 7}}, "refine.draft"),
    ({"refine": {"trace": "yes"}}, "refine.trace"),
    # ranges
    ({"messages": []}, "messages"),
    ({"chat_template_kwargs": {"chat_template": "{{ 1 }}"}}, "chat_template_kwargs.chat_template"),
    ({"chat_template_kwargs": {"tokenize": True}}, "chat_template_kwargs.tokenize"),
    ({"chat_template_kwargs": {"messages": []}}, "chat_template_kwargs.messages"),
    ({"messages": [USER] * 21}, "messages"),
    ({"temperature": -0.1}, "temperature"),
    ({"temperature": 2.1}, "temperature"),
    ({"top_p": 0}, "top_p"),
    ({"top_p": 1.1}, "top_p"),
    ({"top_k": -2}, "top_k"),
    ({"min_p": 2}, "min_p"),
    ({"presence_penalty": 3}, "presence_penalty"),
    ({"frequency_penalty": -3}, "frequency_penalty"),
    ({"repetition_penalty": 0}, "repetition_penalty"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"max_tokens": -1}, "max_tokens"),
    ({"max_tokens": 10**30}, "max_tokens"),
    ({"max_completion_tokens": 0}, "max_completion_tokens"),
    ({"min_tokens": -1}, "min_tokens"),
    ({"n": 0}, "n"),
    ({"n": 1000}, "n"),
    ({"seed": 2**63}, "seed"),
    ({"seed": -(2**70)}, "seed"),
    ({"logit_bias": {"1": 101}}, "logit_bias.1"),
    ({"logit_bias": {"word": 1}}, "logit_bias"),
    ({"stop": ""}, "stop"),
    ({"stop": ["x"] * 17}, "stop"),
    ({"top_logprobs": 21}, "top_logprobs"),
    ({"reasoning_effort": "enormous"}, "reasoning_effort"),
    ({"reasoning": {"effort": "enormous"}}, "reasoning.effort"),
    ({"response_format": {"type": "xml"}}, "response_format.type"),
    ({"refine": {"max_iterations": -1}}, "refine.max_iterations"),
    ({"refine": {"max_iterations": 9}}, "refine.max_iterations"),
    ({"refine": {"good_enough": 0}}, "refine.good_enough"),
    ({"refine": {"good_enough": 11}}, "refine.good_enough"),
    ({"refine": {"keep": "first"}}, "refine.keep"),
    ({"refine": {"drafts": 0}}, "refine.drafts"),
    ({"refine": {"drafts": 9}}, "refine.drafts"),
    ({"refine": {"token_budget": -1}}, "refine.token_budget"),
    ({"refine": {"deadline_ms": 0}}, "refine.deadline_ms"),
    ({"refine": {"deadline_ms": 60_001}}, "refine.deadline_ms"),
    ({"refine": {"feedback": ""}}, "refine.feedback"),
    ({"refine": {"draft": {"temperature": 3}}}, "refine.draft.temperature"),
    ({"refine": {"refinement": {"max_tokens": 0}}}, "refine.refinement.max_tokens"),
    # fields nobody knows
    ({"refine": {"max_iteration": 2}}, "refine.max_iteration"),
    ({"refine": {"url": "http://example.org"}}, "refine.url"),
    ({"refine": {"draft": {"temprature": 1}}}, "refine.draft.temprature"),
    ({"reasoning": {"budget": 5}}, "reasoning.budget"),
    # what is missing inside
    ({"response_format": {}}, "response_format.type"),
    ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
    (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}},
        "response_format.json_schema.schema",
    ),
    ({"structured_outputs": {}}, "structured_outputs"),
    ({"structured_outputs": {"choice": []}}, "structured_outputs.choice"),
    # contradictions
    ({"stream_options": {"include_usage": True}}, "stream_options"),
    ({"min_tokens": 9, "max_tokens": 5}, "min_tokens"),
    ({"structured_outputs": {"regex": "a", "choice": ["a"]}}, "structured_outputs"),
    (
        {"response_format": {"type": "text"}, "structured_outputs": {"regex": "a"}},
        "structured_outputs",
    ),
    ({"reasoning_effort": "low", "reasoning": {"effort": "high"}}, "reasoning.effort"),
    ({"temperature": 0, "refine": {"drafts": 2}}, "refine.drafts"),
    ({"refine": {"drafts": 2, "draft": {"temperature": 0}}}, "refine.drafts"),
    ({"refine": {"max_iterations": 0, "feedback": "No."}}, "refine.feedback"),
    ({"model": "scripted:direct", "refine": {"critic": "strong"}}, "refine.critic"),
    ({"refine": {"critic": "http://example.org/v1"}}, "refine.critic"),
    ({"refine": {"drafts": 2, "feedback": "No."}}, "refine.feedback"),
    ({"max_tokens": 5, "refine": {"draft": {"min_tokens": 9}}}, "refine.draft"),
    # models that are not here
    ({"model": "gpt-4o"}, "model"),
    ({"model": ""}, "model"),
    ({"model": "scripted:"}, "model"),
    ({"model": "scripted:fast"}, "model"),
    ({"model": "scripted:refine-9"}, "model"),
    ({"model": "scripted:refine-0"}, "model"),
    ({"model": "scripted:refine-02"}, "model"),
    ({"model": "scripted:refine-\u0663"}, "model"),
    ({"model": "other:direct"}, "model"),
    # too long
    ({"messages": [{"role": "user", "content": "word " * 3000}]}, "messages"),
    ({"max_tokens": 5000}, "messages"),
]
COMPLETION_FIELDS: list[tuple[dict[str, Any], str]] = [
    ({"prompt": None}, "prompt"),
    ({"prompt": 7}, "prompt"),
    ({"prompt": []}, "prompt"),
    ({"prompt": ""}, "prompt"),
    ({"prompt": ["a", 7]}, "prompt[1]"),
    ({"prompt": [1, -7]}, "prompt[1]"),
    ({"prompt": [[1], ["a"]]}, "prompt[1][0]"),
    ({"prompt": [2**31]}, "prompt[0]"),
    ({"stop_token_ids": [2**31]}, "stop_token_ids[0]"),
    ({"prompt": ["a", "b"]}, "prompt"),
    ({"prompt": ["a", "b"], "refine": {}}, "prompt"),
    ({"prompt": [1, 2], "refine": {}}, "prompt"),
    ({"prompt": "word " * 3000}, "prompt"),
    ({"best_of": 0}, "best_of"),
    ({"logprobs": 21}, "logprobs"),
    ({"logprobs": True}, "logprobs"),
    ({"echo": "yes"}, "echo"),
    ({"stream_options": {}}, "stream_options"),
]
# raw bodies -> status, code
BODIES: list[tuple[bytes, int, str]] = [
    (b"", 400, "missing_required_parameter"),
    (b"{", 400, "invalid_json"),
    (b"{'messages': []}", 400, "invalid_json"),
    (b'{"messages": [}', 400, "invalid_json"),
    (b"null", 400, "missing_required_parameter"),
    (b"[]", 400, "invalid_type"),
    (b'"Hi"', 400, "invalid_type"),
    (b"7", 400, "invalid_type"),
    (b'{"messages": "\xff\xfe"}', 400, "invalid_json"),
    (b'{"messages": [{"role": "user", "content": "\xc3("}]}', 400, "invalid_json"),
    (b'{"messages": [{"role": "user", "content": "\\ud800"}]}', 400, "invalid_json"),
    (b"[" * 15_000, 400, "invalid_json"),
    (
        b'{"temperature": NaN, "messages": [{"role": "user", "content": "Hi"}]}',
        400,
        "invalid_value",
    ),
    (b'{"seed": 1' + b"0" * 5000 + b"}", 400, "invalid_json"),
    (b'{"messages": "' + b"x" * 20_000 + b'"}', 413, "body_too_large"),
]


ENGINE = ScriptedEngine(reply=demo_reply, window=1000)
APP = build_app(SETTINGS, Service(srt_model(ENGINE)))


def answer(path: str, **request: Any) -> httpx.Response:
    """Of a server whose engine must not be asked for a single token."""
    response = asyncio.run(send_to(APP, "POST", path, **request))
    assert 400 <= response.status_code < 500, response.text
    content = response.json()
    assert set(content) == {"error"}
    assert set(content["error"]) == {"message", "type", "param", "code"}
    assert content["error"]["type"] == "invalid_request_error"
    assert isinstance(content["error"]["code"], str)
    assert len(response.content) < 1000
    assert response.headers["x-request-id"]
    assert not ENGINE.history
    return response


def named(fields: dict[str, Any]) -> str:
    return json.dumps(fields)[:60]


@pytest.mark.parametrize(("fields", "param"), CHAT_FIELDS, ids=[named(f) for f, _ in CHAT_FIELDS])
@pytest.mark.parametrize("stream", [False, True])
def test_chat_names_the_field(fields: dict[str, Any], param: str, stream: bool) -> None:
    if stream and "stream_options" in fields:
        pytest.skip("is right when streamed")
    body = {"messages": [USER], **({"stream": True} if stream else {}), **fields}
    error = answer(CHAT, json=body).json()["error"]
    assert error["param"] == param, error
    assert param.rpartition(".")[2].partition("[")[0] in error["message"]


@pytest.mark.parametrize(
    ("fields", "param"), COMPLETION_FIELDS, ids=[named(f) for f, _ in COMPLETION_FIELDS]
)
def test_completions_name_the_field(fields: dict[str, Any], param: str) -> None:
    error = answer(COMPLETIONS, json={"prompt": "Hi", **fields}).json()["error"]
    assert error["param"] == param, error


@pytest.mark.parametrize(
    ("body", "status", "code"), BODIES, ids=[repr(b[:40]) for b, _, _ in BODIES]
)
def test_bodies_that_are_no_request(body: bytes, status: int, code: str) -> None:
    response = answer(CHAT, content=body, headers={"Content-Type": "application/json"})
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "application/xml", None]
)
def test_a_body_that_is_not_called_json_is_told_how(content_type: str | None) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    response = answer(CHAT, content=json.dumps({"messages": [USER]}).encode(), headers=headers)
    assert response.status_code == 415
    assert "Content-Type: application/json" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", CHAT, 405),
        ("PUT", CHAT, 405),
        ("DELETE", COMPLETIONS, 405),
        ("POST", "/v1/models", 405),
        ("GET", "/v1/nothing", 404),
        ("POST", "/v1/embeddings", 404),
        ("GET", "/v1/models/gpt-4o", 404),
        ("GET", "/v1/models/scripted:refine-99", 404),
        ("GET", "/%00", 404),
        ("GET", "/../../etc/passwd", 404),
    ],
)
def test_addresses_and_methods_that_are_not_there(method: str, path: str, status: int) -> None:
    response = asyncio.run(send_to(APP, method, path))
    assert response.status_code == status
    assert set(response.json()["error"]) == {"message", "type", "param", "code"}
    if status == 405:
        assert response.headers["allow"]


def test_an_unknown_refine_field_is_answered_with_the_known_ones() -> None:
    body = {"messages": [USER], "refine": {"max_iteration": 2}}
    message = answer(CHAT, json=body).json()["error"]["message"]
    assert "max_iterations" in message
    assert "good_enough" in message


def test_an_unknown_model_is_answered_with_the_known_ones() -> None:
    response = answer(CHAT, json={"messages": [USER], "model": "x" * 500})
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "model_not_found"
    assert "scripted:direct" in response.json()["error"]["message"]
