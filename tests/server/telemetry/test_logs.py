"""Log lines: what is a field stands in a field, and text stays as people read it."""

from __future__ import annotations

import json
import logging
import re
import sys

import httpx

from redraft.server.telemetry.logs import TEXT, JsonLines
from tests.support.program import running

ASKED = {"prompt": "Hello?"}


def record(message: str, *arguments: object, **attributes: object) -> logging.LogRecord:
    made = logging.LogRecord("redraft", logging.INFO, __file__, 1, message, arguments, None)
    made.__dict__.update(attributes)
    return made


def test_a_json_line_has_the_time_level_logger_and_message() -> None:
    line = json.loads(JsonLines().format(record("%s loops", 3)))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    assert line == {"level": "info", "logger": "redraft", "message": "3 loops"}


def test_fields_stand_beside_the_message_and_may_replace_it() -> None:
    fields = {"message": "request", "status": 200}
    both = record("GET / %d", 200, fields=fields)
    line = json.loads(JsonLines().format(both))
    assert (line["message"], line["status"]) == ("request", 200)
    assert logging.Formatter(TEXT).format(both).endswith("INFO    redraft: GET / 200")


def test_an_exception_is_one_field_of_one_line() -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError:
        failed = record("failed", exc_info=sys.exc_info())
    text = JsonLines().format(failed)
    assert "\n" not in text
    assert json.loads(text)["exception"].endswith("ValueError: two\nlines")


def test_a_request_is_logged_in_fields_and_a_probe_is_not() -> None:
    with running("--engine", "scripted", "--log-format", "json") as program:
        assert httpx.get(f"{program.url}/health", timeout=60).status_code == 200
        answer = httpx.post(
            f"{program.url}/v1/refine", json=ASKED, headers={"X-Request-Id": "abc"}, timeout=60
        )
        assert answer.status_code == 200
        logged = json.loads(program.until(r'^\{.*"logger": "redraft.access".*\}$')[0])
    assert isinstance(logged.pop("seconds"), float)
    logged.pop("time")
    assert logged == {
        "level": "info",
        "logger": "redraft.access",
        "message": "request",
        "method": "POST",
        "path": "/v1/refine",
        "status": 200,
        "cancelled": False,
        "request_id": "abc",
        "client": "anonymous",
    }


def test_a_request_is_logged_as_text() -> None:
    with running("--engine", "scripted") as program:
        httpx.post(f"{program.url}/v1/refine", json=ASKED, timeout=60)
        line = program.until(r"redraft\.access: (.+)$")[1]
    assert re.fullmatch(r"POST /v1/refine 200 \d\.\d{3}s id=req-\w+ client=anonymous", line)
