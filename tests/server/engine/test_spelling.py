"""The words of a chat are changed wherever a template may render them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from redraft.server.engine.base import EngineRefused
from redraft.server.engine.spelling import rewritten_request

TOKEN = "<|end|>"


def without(request: dict[str, Any]) -> str:
    """What the request becomes without the token, as one text with nothing escaped."""
    return json.dumps(rewritten_request(request, lambda text: text.replace(TOKEN, "")))


ESCAPED = r'{"city": "\u003c|end|>", "\u003c|end|>": 1}'


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": [{"role": "user", "content": f"hi{TOKEN}"}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": TOKEN}]}]},
        {"messages": [{"role": "user", "name": TOKEN, "content": ""}]},
        {"messages": [{"role": "tool", "tool_call_id": TOKEN, "content": ""}]},
        {"messages": [{"tool_calls": [{"function": {"name": "f", "arguments": ESCAPED}}]}]},
        {"tools": [{"function": {"name": "f", "description": TOKEN}}]},
        {"tools": [{"function": {"parameters": {"properties": {f"a{TOKEN}": {}}}}}]},
        {"tools": [{"function": {"parameters": {"enum": [TOKEN]}}}]},
        {"functions": [{"name": "f", "description": TOKEN}]},
        {"documents": [{"title": TOKEN, "text": ""}]},
        {"chat_template_kwargs": {"system": [{"deep": TOKEN}]}},
    ],
)
def test_no_field_brings_a_token_to_the_template(fields: dict[str, Any]) -> None:
    changed = without(fields)
    assert TOKEN not in changed
    assert "003c" not in changed
    assert len(changed) < len(json.dumps(fields))


def test_what_no_template_renders_stays_as_it_is() -> None:
    request = {"stop": [TOKEN], "model": TOKEN, "temperature": 1, "n": None}
    assert rewritten_request(request, lambda text: "") == request


def test_arguments_that_spell_nothing_stay_as_they_were_written() -> None:
    written = '{ "a" :1.0}'
    call = {"function": {"name": "f", "arguments": written}}
    request = {"messages": [{"tool_calls": [call]}]}
    assert rewritten_request(request, lambda text: text.replace(TOKEN, "")) == request


def test_what_is_nested_too_deeply_is_refused() -> None:
    deep: Any = TOKEN
    for _ in range(2000):
        deep = [deep]
    with pytest.raises(EngineRefused, match="nested"):
        rewritten_request({"tools": deep}, str.upper)
