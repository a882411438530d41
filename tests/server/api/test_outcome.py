"""What an answer says about its own making."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.asgi import post
from tests.support.loops import feedback

LOOP = (
    '{"town": "Lyon, on the Rhone and the Saone"}',
    feedback(3),
    '{"town": "Paris, the capital of France, where"}',
)
SCHEMA = {"type": "json_schema", "json_schema": {"name": "town", "schema": {"type": "object"}}}
PROMPTS: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "Capital of France?"}]},
    "/v1/completions": {"prompt": "Capital of France?", "refine": {}},
    "/v1/refine": {"prompt": "Capital of France?"},
}


@pytest.mark.parametrize("path", list(PROMPTS))
@pytest.mark.parametrize(
    ("fields", "warned"),
    [
        ({"response_format": SCHEMA, "max_tokens": 4}, True),
        ({"response_format": SCHEMA}, False),
        ({"max_tokens": 4}, False),
    ],
)
def test_an_answer_cut_before_its_form_was_complete_says_so(
    path: str, fields: dict[str, Any], warned: bool
) -> None:
    answer = post(path, PROMPTS[path] | fields, *LOOP)
    choice = answer.json().get("choices", [answer.json()])[0]
    assert choice["finish_reason"] == ("length" if "max_tokens" in fields else "stop")
    warning = answer.headers.get("redraft-warning", "")
    assert ("cut before the required form was complete" in warning) == warned
