"""A required form has a largest size, wherever in a request it is; above it there is a 400."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from redraft.server.engine.base import EngineUnavailable
from redraft.server.engine.scripted_engine import Fail
from tests.support.asgi import post
from tests.support.faults import fault

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
ASKED: dict[str, Any] = {
    CHAT: {"messages": [{"role": "user", "content": "Hi"}]},
    COMPLETIONS: {"prompt": "Hi"},
}


def schema(**fields: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "form", "schema": fields}}


def outputs(**fields: Any) -> dict[str, Any]:
    return {"structured_outputs": fields}


def tool(parameters: Any) -> dict[str, Any]:
    return {"tools": [{"type": "function", "function": {"name": "f", "parameters": parameters}}]}


def texts(count: int) -> list[str]:
    return [f"text {number}" for number in range(count)]


LARGE: dict[str, tuple[dict[str, Any], str]] = {
    "100,000 choices": (outputs(choice=texts(100_000)), "structured_outputs"),
    "1,001 choices": (outputs(choice=[f"{n}" for n in range(1001)]), "1001 choices"),
    "a long regex": (outputs(regex="a" * 65_537), "65537 characters"),
    "a regex of many stars": (outputs(regex=".*" * 201), "201 quantifiers"),
    "a regex of long repetitions": (outputs(regex="a{1,9000}b{9000}c{9000,}"), "27000 repetitions"),
    "a grammar of many rules": (
        outputs(grammar="\n".join(f'r{n} ::= "a"' for n in range(500))),
        "499 rules",
    ),
    "a schema of many values": (
        {"response_format": schema(enum=list(range(5001)))},
        "response_format has 5001 values",
    ),
    "a schema of many patterns": (
        {"response_format": schema(properties={f"p{n}": {"pattern": "a"} for n in range(51)})},
        "51 patterns",
    ),
    "a schema of many properties": (
        {"response_format": schema(properties={f"p{n}": {} for n in range(1001)})},
        "1001 properties",
    ),
    "a schema as text": (outputs(json=json.dumps({"enum": texts(5001)})), "5001 values"),
    "a structural tag": (
        {"response_format": {"type": "structural_tag", "structures": texts(9000)}},
        "response_format",
    ),
}
NOT_ASKED = Fail(EngineUnavailable("the engine was asked"))


@fault(
    "Clients",
    "A schema, grammar or list of choices above a limit",
    sees="an error, 400",
    lost="nothing of others",
    recovers="refuses it before an engine is asked",
)
@pytest.mark.parametrize("path", ASKED)
@pytest.mark.parametrize(("fields", "told"), LARGE.values(), ids=LARGE)
def test_a_form_above_a_limit_is_refused(path: str, fields: dict[str, Any], told: str) -> None:
    answer = post(path, {**ASKED[path], **fields}, NOT_ASKED)
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert error["code"] == "form_too_large"
    assert told in error["message"]
    assert "at most" in error["message"]


@pytest.mark.parametrize("parameters", [{"enum": texts(5001)}, {"enum": list(range(5001))}])
def test_the_arguments_of_a_tool_are_a_form_too(parameters: Any) -> None:
    error = post(CHAT, {**ASKED[CHAT], **tool(parameters)}, NOT_ASKED).json()["error"]
    assert (error["param"], error["code"]) == ("tools[0].function.parameters", "form_too_large")


@pytest.mark.parametrize(
    "fields",
    [
        outputs(choice=texts(1000)),
        outputs(regex="[a-z]{1,100}( [a-z]{1,100}){0,100}"),
        {"response_format": schema(properties={f"p{n}": {"pattern": "^a+$"} for n in range(50)})},
        {"response_format": {"type": "json_object"}},
        tool({"type": "object", "properties": {f"p{n}": {"maxLength": 10} for n in range(200)}}),
        outputs(json="{not JSON"),  # the engine says what is wrong
    ],
)
def test_forms_that_people_use_are_taken(fields: dict[str, Any]) -> None:
    asked = {**ASKED[CHAT], **fields, "reasoning_effort": "none"}
    assert post(CHAT, asked, "yes").status_code == 200


def test_the_time_to_look_at_a_form_grows_as_its_size_does() -> None:
    def seconds(size: int) -> float:
        form = schema(properties={f"p{n}": {"enum": ["{", "{1,"]} for n in range(size)})
        body = {**ASKED[CHAT], "response_format": form}
        start = time.process_time()
        post(CHAT, body, NOT_ASKED)
        return time.process_time() - start

    seconds(10)
    short, long = min(seconds(2_000) for _ in range(3)), min(seconds(8_000) for _ in range(3))
    assert long < 10 * short  # 4 times as large; a square would take 16 times as long
