"""docs/api.md: its requests are answered, its errors, fields and stop reasons are the real ones.
Spans: docs/api.md, server/api"""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest

from redraft.server.api.decide import EFFORTS
from redraft.server.api.unsupported import NOWHERE
from redraft.server.engine.scripted_engine import ScriptedEngine, demo_reply
from redraft.server.refine.trace import StopReason
from redraft.server.service import Service
from tests.support.asgi import send, srt_model

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
REQUESTS = re.findall(r"```json POST (\S+)\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize(("path", "body"), REQUESTS)
def test_every_request_of_the_page_is_answered(path: str, body: str) -> None:
    service = Service(srt_model(ScriptedEngine(reply=demo_reply)))
    answer = asyncio.run(send(service, "POST", path, json=json.loads(body)))
    assert answer.status_code == 200, answer.text


def test_every_stop_reason_is_explained() -> None:
    missing: list[Any] = [reason for reason in get_args(StopReason) if f"`{reason}`" not in PAGE]
    assert missing == []


def test_every_effort_is_explained() -> None:
    row = next(line for line in PAGE.splitlines() if line.startswith("| `reasoning_effort`"))
    assert [effort for effort in EFFORTS if effort not in row] == []


def test_every_field_that_is_always_refused_is_listed() -> None:
    named = [field for field in NOWHERE if not field.startswith("guided_")]
    assert [field for field in named if f"`{field}`" not in PAGE] == []
    assert "`guided_*`" in PAGE


def test_every_error_code_in_the_sources_is_in_the_table() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "server").rglob("*.py"))
    codes = set(re.findall(r'code="([a-z_]+)"', sources))
    assert {code for code in codes if f"`{code}`" not in PAGE} == set()
