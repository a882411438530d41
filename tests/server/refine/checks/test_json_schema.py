"""The part of JSON Schema that checks know: verdicts, malformed schemas, and bounds."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redraft.server.refine.checks import CheckError
from redraft.server.refine.checks.json_schema import problem, read
from redraft.server.refine.checks.steps import Steps, TooManySteps

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1, "pattern": "^[A-Z]"},
        "age": {"type": "integer", "minimum": 0, "exclusiveMaximum": 150},
        "tags": {"type": "array", "items": {"enum": ["new", "old"]}, "maxItems": 2},
    },
    "required": ["name"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("value", "schema", "wrong"),
    [
        ({"name": "Ana", "age": 30, "tags": ["new"]}, PERSON, None),
        ({"age": 30}, PERSON, "it has no 'name'"),
        ({"name": "ana"}, PERSON, "'name' is 'ana', which does not match '^[A-Z]'"),
        ({"name": ""}, PERSON, "'name' has 0 characters, fewer than 1"),
        ({"name": "Ana", "age": -1}, PERSON, "'age' is -1, less than 0"),
        ({"name": "Ana", "age": 150}, PERSON, "'age' is 150, not below 150"),
        ({"name": "Ana", "age": 1.5}, PERSON, "'age' is 1.5, not integer"),
        ({"name": "Ana", "age": 30.0}, PERSON, None),
        ({"name": "Ana", "age": True}, PERSON, "'age' is true, not integer"),
        ({"name": "Ana", "tags": ["red"]}, PERSON, "item 0 of 'tags' is 'red', not one of"),
        ({"name": "Ana", "tags": ["new"] * 3}, PERSON, "'tags' has 3 items, more than 2"),
        ({"name": "Ana", "hat": 1}, PERSON, "'hat' should not be there"),
        ([], PERSON, "it is a list, not object"),
        (None, {"type": ["string", "null"]}, None),
        (1, {"const": True}, "it is 1, not true"),
        (5, {"anyOf": [{"type": "string"}, {"maximum": 4}]}, "it is 5, not string"),
        (5, {"oneOf": [{"minimum": 1}, {"maximum": 9}]}, "it matches 2 of the schemas of oneOf"),
        (5, {"allOf": [{"minimum": 1}, {"maximum": 4}]}, "it is 5, more than 4"),
        (5, {"not": {"type": "integer"}}, "it is 5, which is excluded"),
        (5, True, None),
    ],
)
def test_what_is_wrong_with_a_value_is_said(value: Any, schema: Any, wrong: str | None) -> None:
    found = problem(value, read(schema), Steps())
    assert found == wrong or (found and wrong and found.startswith(wrong))


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ([], "schema has a list where an object is expected"),
        ({"$ref": "#/a"}, r"schema has '\$ref'; the keywords known here are"),
        ({"type": "text"}, "type is 'text'; expected one of object, array"),
        ({"type": [{}]}, "type is an object"),
        ({"minLength": "3"}, "minLength is '3'; it should be a whole number"),
        ({"minimum": True}, "minimum is true; it should be a number"),
        ({"required": "name"}, "required is 'name'; it should be a list"),
        ({"required": [[]]}, "required should be a list of names"),
        ({"anyOf": []}, "anyOf is a list; it should be a list that is not empty"),
        ({"properties": []}, "properties is a list; it should be an object"),
        ({"items": 3}, "schema has 3 where an object is expected"),
        ({"pattern": 3}, "pattern is 3; it should be a text"),
        ({"pattern": "(?=a)"}, r"pattern is '\(\?=a\)': groups"),
        ({"anyOf": [{}] * 501}, "schema is too large"),
    ],
)
def test_a_malformed_schema_is_refused(schema: Any, message: str) -> None:
    with pytest.raises(CheckError, match=message):
        read(schema)


def test_a_schema_within_a_schema_has_a_limit() -> None:
    schema: dict[str, Any] = {}
    for _ in range(30):
        schema = {"items": schema}
    with pytest.raises(CheckError, match="schema is too large"):
        read(schema)


def test_a_large_value_under_a_large_schema_ends_soon() -> None:
    schema = read({"items": {"anyOf": [*[{"type": "string"}] * 400, {"type": "integer"}]}})
    started = time.process_time()
    with pytest.raises(TooManySteps):
        problem([1] * 100_000, schema, Steps())
    assert time.process_time() - started < 5


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
names = st.sampled_from(["type", "enum", "items", "properties", "required", "anyOf", "maximum"])


@given(json_values | st.dictionaries(names, json_values), json_values)
def test_no_schema_and_no_value_raise_anything_else(schema: Any, value: Any) -> None:
    try:
        read(schema)
    except CheckError:
        return
    problem(value, schema, Steps())
