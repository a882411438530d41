"""What a request's ``response_format`` or ``structured_outputs`` requires, as engines take it."""

from __future__ import annotations

import json

from redraft.server.api.schema.requests import Generation
from redraft.server.engine.base import Constraint


def constraint_of(request: Generation) -> Constraint | None:
    """What ``response_format`` or ``structured_outputs`` requires the text to match."""
    form = request.response_format
    if form is not None and form.type == "json_object":
        return Constraint("json_object")
    if form is not None and form.json_schema is not None:
        return Constraint("json_schema", json.dumps(form.json_schema.schema_))
    outputs = request.structured_outputs
    if outputs is None:
        return None
    if outputs.json_ is not None:
        schema = outputs.json_
        return Constraint("json_schema", schema if isinstance(schema, str) else json.dumps(schema))
    if outputs.choice is not None:
        return Constraint("choice", json.dumps(outputs.choice))
    if outputs.regex is not None:
        return Constraint("regex", outputs.regex)
    if outputs.grammar is not None:
        return Constraint("grammar", outputs.grammar)
    return Constraint("json_object")
