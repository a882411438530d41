"""The files of the page: they load nothing from elsewhere, and the headers see to it."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import httpx
import pytest

from redraft.server.engine.scripted_engine import ScriptedEngine
from redraft.server.service import Service
from tests.support.asgi import send, srt_model

PAGE = Path(__file__).resolve().parents[3] / "server" / "page"


def answer(path: str) -> httpx.Response:
    return asyncio.run(send(Service(srt_model(ScriptedEngine())), "GET", path))


def test_the_headers_forbid_everything_from_elsewhere() -> None:
    for path in ("/", *(f"/page/{file.name}" for file in PAGE.iterdir())):
        response = answer(path)
        assert response.status_code == 200
        policy = response.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert response.headers["x-content-type-options"] == "nosniff"


def test_the_files_name_no_other_address_and_insert_no_markup() -> None:
    for file in PAGE.iterdir():
        text = file.read_text(encoding="utf-8")
        elsewhere = re.findall(r"https?://(?!www\.w3\.org/2000/svg)\S+", text)
        assert elsewhere == [], file.name
        for markup in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert markup not in text, file.name


@pytest.mark.parametrize("path", ["/page/", "/page/nothing.js", "/page/..%2Fapp.py"])
def test_a_file_the_page_does_not_have_is_an_error_in_openais_shape(path: str) -> None:
    response = answer(path)
    assert (response.status_code, response.json()["error"]["code"]) == (404, "unknown_url")


@pytest.mark.parametrize("path", ["/docs", "/docs/start.js", "/docs/swagger-ui-bundle.js"])
def test_the_reference_runs_its_own_scripts_and_no_others(path: str) -> None:
    response = answer(path)
    assert response.status_code == 200
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "frame-ancestors 'none'" in policy
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "<script>" not in answer("/docs").text
