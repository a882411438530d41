"""The description of the API at /openapi.json, where FastAPI cannot know: streams of events, who
needs a key, and what each route refuses.
"""

from __future__ import annotations

from typing import Any, Union

from fastapi import FastAPI
from pydantic import TypeAdapter

from redraft.server.api.schema.answers import ErrorBody

Json = dict[str, Any]

_REFUSALS = {
    400: "the request is wrong; `param` names the field",
    401: "no API key, or one that is unknown or has expired",
    404: "no such model or address",
    408: "the request did not arrive in time",
    413: "the request body is too large",
    415: "the request body is no JSON by its content type",
    429: "no place is free, or the key's share of the minute is spent",
    500: "a bug; the log has it under the request's id",
    502: "the engine or its upstream failed",
    503: "the engine is down, or the server drains",
    504: "the deadline passed before there was a draft",
}
_LATER = (429, 503)
_READ_ONLY = (401, 404, 500)  # what a request without a body can meet
_SCHEMES = {"key": {"type": "http", "scheme": "bearer"}}
_OPEN = ("/health", "/ready", "/metrics", "/version")


def refusals(*statuses: int, body: type = ErrorBody) -> dict[int | str, Json]:
    """The errors of a route, in the shape ``body``; without ``statuses`` all that one with a
    request body has. Any other status has the same shape."""
    described: dict[int | str, Json] = {
        status: {"model": body, "description": _REFUSALS[status], **_hint(status)}
        for status in statuses or _REFUSALS
    }
    others: dict[int | str, Json] = {
        "4XX": {"model": body, "description": "the request is refused"},
        "5XX": {"model": body, "description": "the server failed"},
    }
    return described | others


def events_of(*kinds: type, end: str = "") -> Json:
    """The content of an answer that is a stream of events, whose data is one of ``kinds`` as JSON;
    ``end``: the data of the last, which is none."""
    union: Any = Union[(*kinds,)]
    content = TypeAdapter(union).json_schema(ref_template="#/components/schemas/{model}")
    data: Json = {
        "type": "string",
        "contentMediaType": "application/json",
        "contentSchema": content,
    }
    if end:
        data = {"anyOf": [data, {"type": "string", "const": end}]}
    event = {
        "type": "object",
        "properties": {"data": data, "event": {"type": "string"}},
        "required": ["data"],
    }
    return {"text/event-stream": {"itemSchema": event}}


class App(FastAPI):
    """FastAPI's application, with the description completed."""

    def openapi(self) -> Json:
        if self.openapi_schema:
            return self.openapi_schema
        described = super().openapi()
        _hoist(described, described["components"]["schemas"])
        described["components"]["securitySchemes"] = _SCHEMES
        for path, methods in described["paths"].items():
            for operation in methods.values():
                # An empty alternative: a server without keys serves everyone.
                operation["security"] = [{}] if path in _OPEN else [{"key": []}, {}]
        return described


def _hoist(value: Any, schemas: Json) -> None:
    """Move the definitions within a schema to where its references look for them."""
    if isinstance(value, dict):
        for name, schema in value.pop("$defs", {}).items():
            schemas.setdefault(name, schema)
        for item in list(value.values()):
            _hoist(item, schemas)
    elif isinstance(value, list):
        for item in value:
            _hoist(item, schemas)


def _hint(status: int) -> Json:
    if status not in _LATER:
        return {}
    header = {"description": "seconds until trying again may help", "schema": {"type": "integer"}}
    return {"headers": {"Retry-After": header}}


READING = refusals(*_READ_ONLY)
