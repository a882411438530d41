"""The JSON schemas of checks: of one for the documentation of the API, and of a list for a model
that reads checks out of an instruction."""

from __future__ import annotations

from typing import Any

from redraft.server.refine.checks import bounds
from redraft.server.refine.checks.check import Kind
from redraft.server.refine.checks.table import KINDS, MOST_CHECKS

MOST_READ = 8  # of a model: an instruction has few, and a list without an end is cut short
# A model reads what the user wants of the text; these need more than an instruction says.
NOT_READ = frozenset(["json_schema", "regex", "equals"])


def check_schema() -> dict[str, Any]:
    """Of one check of any kind."""
    return {"anyOf": [_of(kind) for kind in KINDS.values()]}


def checks_schema() -> dict[str, Any]:
    """Of the checks of a request."""
    return {"type": "array", "items": check_schema(), "maxItems": MOST_CHECKS}


def extraction_schema() -> dict[str, Any]:
    """Of what a model reads: an object, because engines are held to objects best."""
    kinds = [kind for kind in KINDS.values() if kind.name not in NOT_READ]
    items = {"anyOf": [form for kind in kinds for form in _forms(kind)]}
    checks = {"type": "array", "items": items, "maxItems": MOST_READ}
    return _object({"checks": checks}, ["checks"])


def _of(kind: Kind) -> dict[str, Any]:
    properties = {"kind": {"const": kind.name}}
    properties |= {argument.name: argument.schema for argument in kind.arguments}
    required = ["kind", *(argument.name for argument in kind.arguments if argument.required)]
    return _object(properties | (bounds.SCHEMAS if kind.bounded else {}), required)


def _forms(kind: Kind) -> list[dict[str, Any]]:
    """All members are required: a bounded kind has one form for each way to say a number."""
    whole = _of(kind)
    named = {
        name: value for name, value in whole["properties"].items() if name in whole["required"]
    }
    if not kind.bounded:
        return [_object(named, list(named))]
    return [
        _object({**named, bound: bounds.SCHEMAS[bound]}, [*named, bound])
        for bound in ("at_least", "at_most", "exactly")
    ]


def _object(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }
