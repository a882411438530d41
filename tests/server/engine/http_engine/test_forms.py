"""A form that is wanted: the upstream is held to it in the strictest way it takes, which is found
out once."""

from __future__ import annotations

import json
from typing import Any

import pytest

from redraft.server.engine.base import (
    Call,
    Constrains,
    Constraint,
    EngineRefused,
    Sampling,
    complete,
)
from redraft.server.engine.http_engine import HttpEngine
from tests.support.http_stage import CHAT, ask, failure, stage, with_engine
from tests.support.upstream import Refuse, Scene

__all__ = ["stage"]  # a fixture, used by being here

GRAMMAR = Constraint("grammar", 'root ::= "yes" | "no"')
SCHEMA = Constraint("json_schema", json.dumps({"type": "object"}))
WANTED = Sampling(forms=(GRAMMAR, SCHEMA))
UNKNOWN = Refuse(400, {"error": {"message": "Unknown field: response_format", "code": None}})
NOT_TAKEN = Refuse(
    400,
    {
        "error": {
            "message": "Unsupported parameter",
            "param": "response_format",
            "code": "unsupported_parameter",
        }
    },
)
EXTRA = Refuse(422, {"detail": [{"msg": "Extra inputs are not permitted"}]})
NO_GRAMMAR = Refuse(400, {"error": {"message": "structured_outputs: grammar is not supported"}})


def held_to(body: dict[str, Any]) -> str:
    if "structured_outputs" in body:
        return str(*body["structured_outputs"])
    return str(body.get("response_format", {}).get("type", "free"))


def asked(scene: Scene, times: int = 2) -> tuple[list[str], Constrains | None]:
    """How each request was held to the form, and what the engine knows at the end."""

    async def use(engine: HttpEngine) -> Constrains | None:
        for number in range(times):
            await complete(engine, CHAT, WANTED, Call(f"call-{number}"))
        return engine.constrains

    known = with_engine(scene, use)
    return [held_to(call.body) for call in scene.completions()], known


def test_vllm_is_held_to_the_grammar() -> None:
    assert asked(Scene("a", "b")) == (["grammar", "grammar"], "grammar")


def test_another_upstream_is_held_to_the_schema() -> None:
    assert asked(Scene("a", "b", vllm=False)) == (["json_schema"] * 2, "json_schema")


@pytest.mark.parametrize("refusal", [UNKNOWN, NOT_TAKEN, EXTRA])
def test_one_refusal_and_it_writes_freely_from_then_on(refusal: Refuse) -> None:
    scene = Scene("a", "b", vllm=False)
    scene.next = [refusal]
    assert asked(scene) == (["json_schema", "free", "free"], None)


def test_a_vllm_without_grammars_is_asked_for_the_schema() -> None:
    scene = Scene("a", "b")
    scene.next = [NO_GRAMMAR]
    assert asked(scene) == (["grammar", "json", "json"], "json_schema")


def test_a_refusal_of_something_else_changes_nothing() -> None:
    scene = Scene("a", vllm=False)
    scene.next = [Refuse(400, {"error": {"message": "the messages are improper"}})]
    assert "improper" in failure(scene, EngineRefused, sampling=WANTED)


def test_what_is_required_is_not_given_up() -> None:
    scene = Scene("a", vllm=False)
    scene.next = [UNKNOWN]
    required = Sampling(constraint=SCHEMA, forms=(GRAMMAR,))
    assert "response_format" in failure(scene, EngineRefused, sampling=required)


def test_a_grammar_alone_is_left_out_where_only_schemas_are_taken() -> None:
    scene = Scene("a", vllm=False)
    ask(scene, sampling=Sampling(forms=(GRAMMAR,)))
    assert held_to(scene.completions()[0].body) == "free"
