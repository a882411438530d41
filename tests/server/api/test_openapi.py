"""What /openapi.json says of the answers is what they are."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import jsonschema
import pytest

from redraft.server.api.app import build_app
from redraft.server.api.keys import ApiKey
from redraft.server.config import ServerConfig
from redraft.server.engine.base import EngineUnavailable
from redraft.server.engine.scripted_engine import Entry, Fail, ScriptedEngine
from redraft.server.service import Service
from tests.support.asgi import post, send, srt_model
from tests.support.loops import feedback

API: dict[str, Any] = build_app(ServerConfig(), Service(srt_model(ScriptedEngine()))).openapi()
MESSAGES = [{"role": "user", "content": "Capital of France?"}]
LOOP: tuple[Entry, ...] = ("Lyon", feedback(3), "Paris")
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": MESSAGES, "stream_options": {"include_usage": True}},
    "/v1/completions": {"prompt": "Hi", "refine": {}},
    "/v1/refine": {"prompt": "Hi"},
}
POSTS = [path for path, methods in API["paths"].items() if "post" in methods]


def conforms(value: Any, schema: Any) -> None:
    jsonschema.validate(value, {**schema, "components": API["components"]})


def event_schema(path: str) -> Any:
    content = API["paths"][path]["post"]["responses"]["200"]["content"]
    return content["text/event-stream"]["itemSchema"]


def check_events(path: str, text: str) -> int:
    """Each event of a stream against its declaration; returns their number."""
    declared = event_schema(path)["properties"]["data"]
    json_data = declared.get("anyOf", [declared])[0]
    count = 0
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if line[:1] != ":")
        if not fields:
            continue
        count += 1
        conforms(fields, event_schema(path))
        if fields["data"] != "[DONE]":
            conforms(json.loads(fields["data"]), json_data["contentSchema"])
    return count


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize(
    "script",
    [
        LOOP,
        ("Lyon", "Bad.", "Worse."),
        ("Lyon", Fail(EngineUnavailable("gone"), "Weak")),
        ("Lyon", feedback(9)),
    ],
    ids=["refined", "malformed", "failed", "out of script"],
)
def test_every_event_of_a_stream_is_as_declared(path: str, script: tuple[Entry, ...]) -> None:
    answer = post(path, {**BODIES[path], "stream": True}, *script)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert check_events(path, answer.text) >= 2


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/refine"])
def test_the_error_at_the_end_of_a_stream_is_as_declared(path: str) -> None:
    half = Fail(EngineUnavailable("gone"), "Half a draft")
    answer = post(path, {**BODIES[path], "stream": True}, half)
    assert check_events(path, answer.text) >= 2
    assert '"error"' in answer.text


def test_the_names_of_references_exist() -> None:
    text = json.dumps(API)
    assert "$defs" not in text
    for name in {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}:
        assert name in API["components"]["schemas"], name


@pytest.mark.parametrize("path", POSTS)
def test_a_route_says_what_it_refuses(path: str) -> None:
    responses = API["paths"][path]["post"]["responses"]
    for status in ("400", "401", "404", "413", "415", "429", "500", "502", "503", "504"):
        schema = responses[status]["content"]["application/json"]["schema"]
        assert schema == {"$ref": "#/components/schemas/ErrorBody"}
        assert responses[status]["description"]
    assert responses["429"]["headers"]["Retry-After"]
    assert "422" not in responses


def test_metrics_are_text() -> None:
    content = API["paths"]["/metrics"]["get"]["responses"]["200"]["content"]
    assert list(content) == ["text/plain"]
    assert content["text/plain"]["schema"] == {"type": "string"}


@pytest.mark.parametrize("path", ["/health", "/ready", "/version", "/v1/models"])
def test_what_is_read_is_as_declared(path: str) -> None:
    service = Service(srt_model(ScriptedEngine()))
    schema = API["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    conforms(asyncio.run(send(service, "GET", path)).json(), schema)


def test_who_needs_a_key_is_said() -> None:
    keys = [ApiKey.of("alice", "a")]
    service = Service(srt_model(ScriptedEngine()))
    for path, methods in API["paths"].items():
        for method, operation in methods.items():
            filled = path.replace("{model_id}", "scripted")
            answer = asyncio.run(send(service, method.upper(), filled, keys=keys))
            assert (answer.status_code == 401) == ({"key": []} in operation["security"]), path
    assert API["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
