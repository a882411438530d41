"""How large a required form may be: what is larger is refused before any engine sees it.

Engines read a form on the path of all requests and compile it beside them, one at a time, and both
take longer than in proportion to its alternatives, its patterns and its bounds of repetition.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from redraft.server.api.errors import invalid
from redraft.server.api.schema.requests import ChatRequest, Generation
from redraft.server.engine.base import Constraint

# The most of each in one form.
LIMITS = {
    "characters": 65_536,
    "choices": 1_000,
    "rules": 200,  # of a grammar
    "quantifiers": 200,  # in all regular expressions: * + ? {1,9}
    "repetitions": 20_000,  # the sum of the bounds in regular expressions
    "patterns": 50,  # of a JSON schema
    "properties": 1_000,
    "values": 5_000,  # of enums
}
_QUANTIFIER = re.compile(r"[*+?]|\{(\d{1,9})?(?:,(\d{1,9})?)?\}")


def check_forms(request: Generation, constraint: Constraint | None) -> None:
    """ApiError for a form of the answer, or of a tool's arguments, that is larger than a limit."""
    field = "structured_outputs" if request.structured_outputs else "response_format"
    if constraint is not None:
        _check(field, Counter(characters=len(constraint.value)))
        _check(field, _counts(constraint))
    form = request.response_format
    if form is not None and form.type == "structural_tag":
        _check_schema(field, form.model_extra)
    if isinstance(request, ChatRequest):
        for index, tool in enumerate(request.tools or ()):
            parameters = (tool.function.model_extra or {}).get("parameters")
            _check_schema(f"tools[{index}].function.parameters", parameters)


def _check_schema(field: str, schema: Any) -> None:
    _check(field, Counter(characters=len(json.dumps(schema))))
    _check(field, _counts_of_schema(schema))


def _check(field: str, counts: Counter[str]) -> None:
    for what, count in counts.items():
        if count > LIMITS[what]:
            message = f"{field} has {count} {what}; this server takes {LIMITS[what]} at most"
            raise invalid(field, message, "form_too_large")


def _counts(constraint: Constraint) -> Counter[str]:
    value = constraint.value
    match constraint.kind:
        case "regex":
            return _counts_of_pattern(value)
        case "grammar":
            return Counter(rules=value.count("\n"), **_counts_of_pattern(value))
        case "choice":
            return Counter(choices=len(json.loads(value)))
        case "json_schema":
            try:
                return _counts_of_schema(json.loads(value))
            except ValueError:  # the engine says what is wrong with it
                return Counter()
    return Counter()


def _counts_of_pattern(pattern: str) -> Counter[str]:
    counts: Counter[str] = Counter()
    for found in _QUANTIFIER.finditer(pattern):
        counts["quantifiers"] += 1
        counts["repetitions"] += max(int(bound or 0) for bound in found.groups())
    return counts


def _counts_of_schema(schema: Any) -> Counter[str]:
    counts: Counter[str] = Counter()
    for name, value in _fields(schema):
        match name, value:
            case "pattern", str():
                counts["patterns"] += 1
                counts += _counts_of_pattern(value)
            case "properties" | "patternProperties", dict():
                counts["properties"] += len(value)
            case "enum", list():
                counts["values"] += len(value)
    return counts


def _fields(schema: Any) -> Iterator[tuple[str, Any]]:
    """Every field of every object in it."""
    inside = [schema]
    while inside:
        part = inside.pop()
        if isinstance(part, dict):
            yield from part.items()
            inside += part.values()
        elif isinstance(part, list):
            inside += part
