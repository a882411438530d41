"""Requests made from the description of the API, right and wrong, against a real process: no answer
is a failure of the server, and each is as described, the events of streams included.
Spans: server

A few for each route in ``make test``; many more, for at most an hour, in ``make attack``.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from redraft.server.api.app import build_app
from redraft.server.config import ServerConfig
from redraft.server.engine.scripted_engine import ScriptedEngine
from redraft.server.service import Service
from tests.support.asgi import srt_model
from tests.support.program import Program, running

schemathesis: Any = pytest.importorskip(
    "schemathesis", reason="schemathesis is not installed: redraft install dev"
)

conformance: Any = importlib.import_module("schemathesis.specs.openapi.checks")

ANSWER_S = 60
FEW, MANY = 25, int(os.environ.get("ATTACK_EXAMPLES", "4000"))
UNHURRIED = list(HealthCheck)  # the machine may be busy
# Not among them: whether a request is taken. An instruction can be refused for what no schema says,
# and unknown fields are taken with a warning.
CHECKS = [
    conformance.status_code_conformance,
    conformance.content_type_conformance,
    conformance.response_headers_conformance,
    conformance.response_schema_conformance,
]
API: dict[str, Any] = build_app(ServerConfig(), Service(srt_model(ScriptedEngine()))).openapi()
# The items of a stream are described as OpenAPI 3.2 has them; only there does it check them.
SCHEMA: Any = schemathesis.openapi.from_dict({**API, "openapi": "3.2.0"})
OPERATIONS = [
    pytest.param(path, method, id=f"{method.upper()} {path}")
    for path, methods in API["paths"].items()
    for method in methods
]
EXPECTED_FAILURES = {"deadline_exceeded"}  # 504: the request wanted too little time


@pytest.fixture(scope="module")
def program() -> Iterator[Program]:
    with running("--engine", "scripted", "--log-level", "warning") as program:
        assert program.url
        yield program
        assert program.process.poll() is None, program.output


def examples_of(path: str, method: str) -> list[dict[str, Any]]:
    content = API["paths"][path][method].get("requestBody", {}).get("content", {})
    examples = content.get("application/json", {}).get("examples", {})
    return [example["value"] for example in examples.values()]


@st.composite
def requests_to(draw: st.DrawFn, path: str, method: str) -> Any:
    """As described, not quite, or right but for one or two fields; streamed or not."""
    mode = draw(st.sampled_from(list(schemathesis.GenerationMode)))
    case = draw(SCHEMA[path][method.upper()].as_strategy(generation_mode=mode))
    right = examples_of(path, method)
    if right and isinstance(case.body, dict) and draw(st.integers(0, 3)):
        names = st.lists(st.sampled_from(sorted(case.body) or ["stream"]), max_size=2)
        odd = {name: case.body[name] for name in draw(names) if name in case.body}
        stream = {"stream": True} if draw(st.booleans()) else {}
        case.body = {**draw(st.sampled_from(right)), **stream, **odd}
    return case


def attack(path: str, method: str, program: Program, examples: int) -> None:
    """So many requests to one route; a few are the same in every run, many are new ones."""

    @given(case=requests_to(path, method))
    @settings(
        max_examples=examples,
        derandomize=examples == FEW,
        deadline=None,
        database=None,
        suppress_health_check=UNHURRIED,
    )
    def holds(case: Any) -> None:
        response = case.call(base_url=program.url, timeout=ANSWER_S)
        if response.status_code >= 500:
            assert response.json()["error"]["code"] in EXPECTED_FAILURES, response.text
        assert response.headers["x-request-id"]
        case.validate_response(response, checks=CHECKS)

    holds()


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_a_few_requests_to_each_route(path: str, method: str, program: Program) -> None:
    attack(path, method, program, FEW)


@pytest.mark.attack
@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_many_requests_to_each_route(path: str, method: str, program: Program) -> None:
    attack(path, method, program, MANY)
