"""Whatever is sent, the answer is a result or an error in OpenAI's form, and never a 5xx.
Spans: server/api"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from redraft.server.api.app import build_app
from redraft.server.api.schema.requests import (
    ChatRequest,
    CompletionRequest,
    PhaseSampling,
    RefineOptions,
)
from redraft.server.config import ServerConfig
from redraft.server.engine.scripted_engine import ScriptedEngine, demo_reply
from redraft.server.service import Service
from tests.support.asgi import srt_model
from tests.support.examples import examples

ENGINE = ScriptedEngine(reply=demo_reply, window=400, keep_history=False)
APP = build_app(ServerConfig(max_deadline_s=20), Service(srt_model(ENGINE)))

SMALL = st.integers(-3, 9)
SCALARS = st.none() | st.booleans() | SMALL | st.integers() | st.floats() | st.text(max_size=12)
ANY = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
NAMES = ("scripted", "scripted:direct", "scripted:refine-2", "gpt-4o")
WORDS = st.sampled_from(["best", "last", "none", "high", "json_object", "json_schema", "text"])


def some_of(request: Any, **known: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Any of the fields of ``request``, most of them wrong."""
    fields = {
        field.alias or name: known.get(name, ANY | WORDS)
        for name, field in request.model_fields.items()
    }
    names = st.lists(st.sampled_from(sorted(fields)), max_size=4, unique=True)
    return names.flatmap(lambda chosen: st.fixed_dictionaries({n: fields[n] for n in chosen}))


PHASE = some_of(PhaseSampling, temperature=st.floats(0, 2), max_tokens=SMALL)
REFINE = some_of(
    RefineOptions, draft=PHASE, refinement=PHASE, max_iterations=SMALL, drafts=SMALL, keep=WORDS
)
ROLES = st.sampled_from(["system", "user", "assistant", "tool", "developer", "robot"])
CONTENT = st.text(max_size=20) | st.lists(
    st.fixed_dictionaries({"type": st.just("text"), "text": st.text(max_size=9)}), max_size=2
)
MESSAGES = st.lists(st.fixed_dictionaries({"role": ROLES, "content": CONTENT | ANY}), max_size=3)
KNOWN = {
    "model": st.sampled_from(NAMES),
    "stream": st.booleans(),
    "refine": REFINE,
    "stream_options": st.fixed_dictionaries({"include_usage": st.booleans()}),
    "temperature": st.floats(0, 2),
    "max_tokens": SMALL,
    "response_format": st.fixed_dictionaries({"type": WORDS}),
}
BODIES = {
    "/v1/chat/completions": st.tuples(
        st.fixed_dictionaries({"messages": MESSAGES}), some_of(ChatRequest, **KNOWN)
    ),
    "/v1/completions": st.tuples(
        st.fixed_dictionaries({"prompt": st.text(max_size=20) | ANY}),
        some_of(CompletionRequest, **KNOWN),
    ),
}


async def post(path: str, content: bytes) -> httpx.Response:
    transport = httpx.ASGITransport(APP, raise_app_exceptions=False)
    headers = {"Content-Type": "application/json"}
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        sent = client.post(path, content=content, headers=headers)
        return await asyncio.wait_for(sent, 180)


def check(answer: httpx.Response) -> None:
    if answer.status_code == 200:
        assert '"code":"internal_error"' not in answer.text
        return
    error = answer.json()["error"]
    # A deadline of milliseconds passes, or not, as fast as the machine is.
    late = answer.status_code == 504 and error["code"] == "deadline_exceeded"
    assert late or 400 <= answer.status_code < 500, answer.text
    assert set(error) == {"message", "type", "param", "code"}
    assert len(answer.content) < 2000


@pytest.mark.parametrize("path", BODIES)
def test_any_json_is_answered(path: str) -> None:
    @settings(max_examples=examples(400), deadline=None, suppress_health_check=list(HealthCheck))
    @given(BODIES[path])
    def fuzz(parts: tuple[dict[str, Any], dict[str, Any]]) -> None:
        body = json.dumps({**parts[1], **parts[0]}).encode()
        check(asyncio.run(post(path, body)))

    fuzz()


@settings(max_examples=examples(150), deadline=None)
@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_any_bytes_are_answered(content: bytes) -> None:
    check(asyncio.run(post("/v1/chat/completions", content)))
