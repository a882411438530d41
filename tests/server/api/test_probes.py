"""Probes tell orchestrators, scrapers and people the truth, and cost nobody a key."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from redraft import __version__
from redraft.server.admission import Admission
from redraft.server.api.keys import ApiKey
from redraft.server.config import ServerConfig
from redraft.server.engine.scripted_engine import ScriptedEngine
from redraft.server.model import ServedModel
from redraft.server.refine import manifest
from redraft.server.refine.interrupt import Interrupt
from redraft.server.refine.trace import StopReason
from redraft.server.service import ENDING_S, Service
from tests.support.asgi import send
from tests.support.clock import let_pass
from tests.support.loops import FORMAT


def get(
    path: str, service: Service, config: ServerConfig | None = None, **more: Any
) -> httpx.Response:
    return asyncio.run(send(service, "GET", path, config, **more))


def service(engine: ScriptedEngine | None = None, **more: Any) -> Service:
    return Service(ServedModel(engine or ScriptedEngine()), **more)


@pytest.mark.parametrize("path", ["/health", "/healthz", "/livez"])
def test_the_process_is_alive_even_while_it_drains_and_its_engine_is_dead(path: str) -> None:
    async def test() -> httpx.Response:
        engine = ScriptedEngine()
        await engine.close()
        draining = service(engine)
        await draining.drain(0)
        return await send(draining, "GET", path)

    answer = asyncio.run(test())
    assert (answer.status_code, answer.json()) == (200, {"status": "alive"})


@pytest.mark.parametrize("path", ["/ready", "/readyz"])
def test_a_server_that_takes_work_is_ready(path: str) -> None:
    answer = get(path, service())
    assert (answer.status_code, answer.json()) == (200, {"status": "ready"})


def test_a_draining_server_is_not_ready() -> None:
    async def test() -> httpx.Response:
        draining = service()
        await draining.drain(0)
        return await send(draining, "GET", "/ready")

    answer = asyncio.run(test())
    assert (answer.status_code, answer.json()["status"]) == (503, "draining")
    assert 1 <= int(answer.headers["retry-after"]) <= 120


def test_a_loop_that_does_not_end_does_not_keep_the_server_from_stopping(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Deaf(Interrupt):
        def cut(self, reason: StopReason) -> None:
            super().cut(reason)
            asyncio.get_running_loop().call_soon(let_pass, ENDING_S + 1)  # once it is waited for

    async def test() -> None:
        stuck = service()
        stuck._running.add(Deaf())
        await stuck.drain(0)

    asyncio.run(test())
    assert "1 loops do not end" in caplog.text


def test_a_server_whose_engine_is_down_is_not_ready_and_says_why() -> None:
    async def test() -> httpx.Response:
        engine = ScriptedEngine()
        await engine.close()
        return await send(service(engine), "GET", "/ready")

    answer = asyncio.run(test())
    assert answer.status_code == 503
    assert answer.json() == {"status": "engine_down", "reason": "engine 'default' was closed"}


def test_an_engine_that_does_not_say_whether_it_works_counts_as_down() -> None:
    class Silent(ScriptedEngine):
        async def check(self) -> None:
            await asyncio.Event().wait()

    answer = get("/ready", service(Silent()))
    assert (answer.status_code, answer.json()["status"]) == (503, "engine_down")


def test_a_server_with_a_full_queue_is_not_ready() -> None:
    async def test() -> httpx.Response:
        full = service(admission=Admission(ServerConfig(max_loops=1, max_queue=0)))
        async with full.admission.place("somebody", Interrupt()):
            return await send(full, "GET", "/ready")

    answer = asyncio.run(test())
    assert (answer.status_code, answer.json()["status"]) == (503, "queue_full")


def test_the_version_says_what_is_served_and_what_a_request_gets() -> None:
    answer = get("/version", service(), ServerConfig(max_iterations=2, keep="best"))
    assert answer.json() == {
        "redraft": __version__,
        "model": "scripted",
        "window": 4096,
        "style": "prompted",
        "format": None,
        "engine": "scripted",
        "vllm": None,
        "critics": [],
        "policy": {"max_iterations": 2, "good_enough": None, "keep": "best"},
        "max_iterations_cap": 8,
        "about": "",
        "examples": [],
    }


def test_the_version_shows_what_the_manifest_says(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    manifest.write(
        tmp_path,
        FORMAT,
        manifest.DefaultPolicy(max_iterations=3, good_enough=9, keep="best"),
        evaluation={"about": "Knows capitals only.", "examples": ["Capital of France?"]},
    )
    model = ServedModel(ScriptedEngine(), manifest.read(tmp_path))
    version = get("/version", Service(model)).json()
    assert (version["style"], version["format"]) == ("srt", "srt/1")
    assert version["policy"] == {"max_iterations": 3, "good_enough": 9, "keep": "best"}
    assert version["about"] == "Knows capitals only."
    assert version["examples"] == ["Capital of France?"]


@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics", "/version"])
def test_probes_ask_for_no_key(path: str) -> None:
    keys = [ApiKey.of("somebody", "secret")]
    assert get(path, service(), keys=keys).status_code == 200


@pytest.mark.parametrize(
    ("page", "paths"),
    [
        ("metrics", ["/metrics"]),
        ("docs", ["/docs", "/docs/start.js", "/openapi.json"]),
    ],
)
def test_a_guarded_page_asks_for_a_key_and_the_others_do_not(page: str, paths: list[str]) -> None:
    keys, config = [ApiKey.of("somebody", "secret")], ServerConfig(guard=(page,))  # type: ignore[arg-type]
    key = {"Authorization": "Bearer secret"}
    for path in ("/metrics", "/docs", "/docs/start.js", "/openapi.json", "/", "/health", "/ready"):
        bare = get(path, service(), config=config, keys=keys).status_code
        assert bare == (401 if path in paths else 200), path
        assert get(path, service(), config=config, keys=keys, headers=key).status_code == 200


def test_probes_stay_out_of_the_access_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "redraft.access"):
        for path in ("/health", "/ready", "/metrics", "/version"):
            get(path, service())
        assert "redraft.access" not in {record.name for record in caplog.records}
        get("/nowhere", service())
    assert "redraft.access" in {record.name for record in caplog.records}


def test_no_probe_shows_a_secret() -> None:
    keys = [ApiKey.of("somebody", "top-secret-key")]
    texts = {
        path: get(path, service(), keys=keys).text for path in ("/version", "/metrics", "/ready")
    }
    assert "top-secret-key" not in json.dumps(texts)
    del texts["/metrics"]  # counts by the names of keys, once they were used
    assert "somebody" not in json.dumps(texts)
