"""A part of JSON Schema: what is wrong with a value, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from redraft.server.refine.checks.arguments import CheckError, read_pattern, shown
from redraft.server.refine.checks.pattern import compiled
from redraft.server.refine.checks.steps import Steps

DEEPEST, MOST_SCHEMAS = 20, 500

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "number": (int, float),
    "integer": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
_COUNTS = ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties")
_NUMBERS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_SCHEMAS = ("items", "additionalProperties", "not")  # a schema each
_LISTS = ("anyOf", "allOf", "oneOf")  # schemas
_OTHERS = ("type", "properties", "required", "enum", "const", "pattern")
_REMARKS = ("$schema", "title", "description", "default", "examples", "format")
KEYWORDS = frozenset((*_COUNTS, *_NUMBERS, *_SCHEMAS, *_LISTS, *_OTHERS, *_REMARKS))


def read(schema: Any) -> Any:
    """``schema`` itself; CheckError where it is malformed or has a keyword not known here."""
    left = MOST_SCHEMAS
    stack: list[tuple[Any, int]] = [(schema, 0)]
    while stack:
        here, depth = stack.pop()
        left -= 1
        if left < 0 or depth > DEEPEST:
            raise CheckError(
                f"schema is too large; at most {MOST_SCHEMAS} parts, {DEEPEST} within each other"
            )
        if isinstance(here, bool):
            continue
        if not isinstance(here, dict):
            raise CheckError(f"schema has {shown(here)} where an object is expected")
        _check(here)
        stack.extend((inner, depth + 1) for inner in _inner(here))
    return schema


def _inner(schema: Mapping[str, Any]) -> Iterator[Any]:
    yield from (schema[name] for name in _SCHEMAS if name in schema)
    for name in _LISTS:
        yield from schema.get(name, ())
    yield from schema.get("properties", {}).values()


def _check(schema: Mapping[str, Any]) -> None:
    if unknown := sorted(map(str, schema.keys() - KEYWORDS)):
        known = ", ".join(sorted(KEYWORDS))
        raise CheckError(f"schema has {shown(unknown[0])}; the keywords known here are {known}")
    for name in _COUNTS:
        if name in schema and (not _is_count(schema[name])):
            raise CheckError(f"{name} is {shown(schema[name])}; it should be a whole number from 0")
    for name in _NUMBERS:
        if name in schema and not _is_number(schema[name]):
            raise CheckError(f"{name} is {shown(schema[name])}; it should be a number")
    for name in (*_LISTS, "enum", "required"):
        value = schema.get(name, ["left out"])
        if not isinstance(value, list) or (name != "required" and not value):
            raise CheckError(f"{name} is {shown(value)}; it should be a list that is not empty")
    if not all(isinstance(name, str) for name in schema.get("required", ())):
        raise CheckError("required should be a list of names")
    if not isinstance(schema.get("properties", {}), dict):
        raise CheckError(f"properties is {shown(schema['properties'])}; it should be an object")
    for name in _type_names(schema):
        if not isinstance(name, str) or name not in _TYPES:
            raise CheckError(f"type is {shown(name)}; expected one of {', '.join(_TYPES)}")
    if "pattern" in schema:
        read_pattern("pattern", schema["pattern"])


def _type_names(schema: Mapping[str, Any]) -> list[Any]:
    names = schema.get("type", [])
    return names if isinstance(names, list) else [names]


def problem(value: Any, schema: Any, steps: Steps, at: str = "it") -> str | None:
    """The first thing wrong with the value, in words; None when it matches."""
    steps.take()
    if isinstance(schema, bool):
        return None if schema else f"{at} should not be there"
    types = _type_names(schema)
    if types and not any(_is_type(value, name) for name in types):
        return f"{at} is {shown(value)}, not {' or '.join(types)}"
    if "enum" in schema and not any(_equal(value, each) for each in schema["enum"]):
        return f"{at} is {shown(value)}, not one of the values of enum"
    if "const" in schema and not _equal(value, schema["const"]):
        return f"{at} is {shown(value)}, not {shown(schema['const'])}"
    if isinstance(value, str):
        wrong = _wrong_text(value, schema, steps, at)
    elif isinstance(value, dict):
        wrong = _wrong_object(value, schema, steps, at)
    elif isinstance(value, list):
        wrong = _wrong_list(value, schema, steps, at)
    else:
        wrong = _wrong_number(value, schema, at) if _is_number(value) else None
    return wrong or _wrong_choice(value, schema, steps, at)


def _wrong_text(value: str, schema: Mapping[str, Any], steps: Steps, at: str) -> str | None:
    if wrong := _wrong_size(len(value), schema, "Length", at, "characters"):
        return wrong
    if "pattern" in schema:
        pattern = compiled(schema["pattern"])
        steps.take(pattern.size)
        if pattern.search(value, steps) is None:
            return f"{at} is {shown(value)}, which does not match {shown(schema['pattern'])}"
    return None


def _wrong_object(
    value: dict[str, Any], schema: Mapping[str, Any], steps: Steps, at: str
) -> str | None:
    if wrong := _wrong_size(len(value), schema, "Properties", at, "properties"):
        return wrong
    for name in schema.get("required", ()):
        if name not in value:
            return f"{at} has no {shown(name)}"
    known, others = schema.get("properties", {}), schema.get("additionalProperties", True)
    for name, inner in value.items():
        if wrong := problem(inner, known.get(name, others), steps, f"{name[:40]!r}"):
            return wrong
    return None


def _wrong_list(value: list[Any], schema: Mapping[str, Any], steps: Steps, at: str) -> str | None:
    if wrong := _wrong_size(len(value), schema, "Items", at, "items"):
        return wrong
    for index, inner in enumerate(value):
        if wrong := problem(inner, schema.get("items", True), steps, f"item {index} of {at}"[:80]):
            return wrong
    return None


def _wrong_number(value: float, schema: Mapping[str, Any], at: str) -> str | None:
    unlimited = float("inf")
    if value < schema.get("minimum", -unlimited):
        return f"{at} is {shown(value)}, less than {schema['minimum']}"
    if value > schema.get("maximum", unlimited):
        return f"{at} is {shown(value)}, more than {schema['maximum']}"
    if value <= schema.get("exclusiveMinimum", -unlimited):
        return f"{at} is {shown(value)}, not above {schema['exclusiveMinimum']}"
    if value >= schema.get("exclusiveMaximum", unlimited):
        return f"{at} is {shown(value)}, not below {schema['exclusiveMaximum']}"
    return None


def _wrong_size(size: int, schema: Mapping[str, Any], what: str, at: str, noun: str) -> str | None:
    if size < schema.get(f"min{what}", 0):
        return f"{at} has {size} {noun}, fewer than {schema[f'min{what}']}"
    if size > schema.get(f"max{what}", size):
        return f"{at} has {size} {noun}, more than {schema[f'max{what}']}"
    return None


def _wrong_choice(value: Any, schema: Mapping[str, Any], steps: Steps, at: str) -> str | None:
    for inner in schema.get("allOf", ()):
        if wrong := problem(value, inner, steps, at):
            return wrong
    if "anyOf" in schema:
        wrongs = [problem(value, inner, steps, at) for inner in schema["anyOf"]]
        if all(wrongs):
            return wrongs[0]
    if "oneOf" in schema:
        matching = sum(problem(value, inner, steps, at) is None for inner in schema["oneOf"])
        if matching != 1:
            return f"{at} matches {matching} of the schemas of oneOf"
    if "not" in schema and problem(value, schema["not"], steps, at) is None:
        return f"{at} is {shown(value)}, which is excluded"
    return None


def _is_type(value: Any, name: str) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    if name == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES[name])


def _equal(one: Any, other: Any) -> bool:
    """As JSON has it: true is not 1."""
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
