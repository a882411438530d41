"""What is counted, as a scraper reads it after real requests over a real socket."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from redraft.server.admission import Admission
from redraft.server.api.app import build_app
from redraft.server.config import ServerConfig
from redraft.server.engine.base import EngineUnavailable, Sampling
from redraft.server.engine.scripted_engine import Entry, Fail, ScriptedEngine
from redraft.server.refine.interrupt import Interrupt
from redraft.server.service import Service
from redraft.server.telemetry.metrics import Metrics
from tests.support.asgi import send, srt_model
from tests.support.loops import feedback
from tests.support.serving import Pause, serving

Scraped = dict[str, dict[tuple[tuple[str, str], ...], float]]


def read(exposition: str) -> Scraped:
    """name -> labels -> value"""
    samples: Scraped = {}
    for family in text_string_to_metric_families(exposition):
        for sample in family.samples:
            samples.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return samples


def value(scraped: Scraped, name: str, **labels: str) -> float:
    return scraped[name][tuple(sorted(labels.items()))]


def after(
    requests: Callable[[httpx.Client], Any], *script: Entry, **parts: Any
) -> tuple[Scraped, CollectorRegistry]:
    """What /metrics says after requests to a server whose model replies as the script says."""
    registry = CollectorRegistry()
    service = Service(srt_model(ScriptedEngine(*script)), metrics=Metrics(registry), **parts)
    with (
        serving(build_app(ServerConfig(), service)) as served,
        httpx.Client(base_url=served.url, timeout=60) as client,
    ):
        requests(client)
        answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return read(answer.text), registry


def refine(client: httpx.Client, **body: Any) -> dict[str, Any]:
    answer = client.post("/v1/refine", json={"prompt": "Capital of France?", **body})
    told: dict[str, Any] = answer.json()
    return told


def test_a_loop_is_counted_by_phase_iteration_and_reason() -> None:
    told: list[dict[str, Any]] = []
    script = ("A country.", feedback(4), "Paris.", feedback(9))
    body = {"max_iterations": 2, "good_enough": 9}
    scraped, _ = after(lambda client: told.append(refine(client, **body)), *script)
    usage = told[0]["usage"]["phases"]
    for phase, spent in usage.items():
        for what in ("prompt", "completion", "cached"):
            counted = value(scraped, f"redraft_{what}_tokens_total", phase=phase)
            assert counted == spent[f"{what}_tokens"]
        assert value(scraped, "redraft_engine_calls_total", phase=phase) == spent["calls"]
        assert value(scraped, "redraft_phase_seconds_count", phase=phase) == 1
    assert value(scraped, "redraft_iterations_sum", route="refine") == 1
    reason = {"route": "refine", "stop_reason": "good_enough"}
    assert value(scraped, "redraft_stops_total", **reason) == 1
    assert value(scraped, "redraft_loops_total", route="refine", outcome="finished") == 1
    assert value(scraped, "redraft_answers_total", route="refine", kept="refinement") == 1
    assert value(scraped, "redraft_feedback_score_sum") == 13
    assert value(scraped, "redraft_loops_in_flight") == 0


def test_requests_are_counted_by_route_and_outcome_and_probes_are_not() -> None:
    def requests(client: httpx.Client) -> None:
        refine(client, max_iterations=0)
        refine(client, max_iterations=-1)
        client.get("/nowhere")
        client.get("/health")

    scraped, _ = after(requests, "Paris.")
    counted = scraped["redraft_requests_total"]
    assert counted == {
        (("outcome", "2xx"), ("route", "/v1/refine")): 1,
        (("outcome", "4xx"), ("route", "/v1/refine")): 1,
        (("outcome", "4xx"), ("route", "other")): 1,
    }
    assert value(scraped, "redraft_request_seconds_count", route="/v1/refine") == 2


def test_the_first_token_of_the_answer_comes_after_the_first_token_of_all() -> None:
    scraped, _ = after(refine, "A country.", feedback(4), "Paris.")
    first = value(scraped, "redraft_time_to_first_token_seconds_sum", route="refine")
    answer = value(scraped, "redraft_time_to_first_answer_token_seconds_sum", route="refine")
    whole = value(scraped, "redraft_loop_seconds_sum", route="refine")
    assert 0 < first < answer <= whole


def test_malformed_feedback_is_counted() -> None:
    scraped, _ = after(refine, "Paris.", "nice", "very nice")
    assert value(scraped, "redraft_malformed_feedback_total") == 2
    reason = {"route": "refine", "stop_reason": "malformed_feedback"}
    assert value(scraped, "redraft_stops_total", **reason) == 1


def test_the_feedback_of_a_caller_says_nothing_about_the_model() -> None:
    def requests(client: httpx.Client) -> None:
        refine(client, response="Lyon.", feedback=feedback(1))

    scraped, _ = after(requests, "Paris.")
    assert value(scraped, "redraft_feedback_score_count") == 0


def test_feedback_that_ranked_the_drafts_is_counted_once() -> None:
    def reply(prompt: str, sampling: Sampling) -> Entry:
        return feedback(7) if sampling.temperature == 0 else "Paris."

    registry = CollectorRegistry()
    service = Service(srt_model(ScriptedEngine(reply=reply)), metrics=Metrics(registry))
    body = {"prompt": "Capital of France?", "drafts": 3, "good_enough": 5}
    asyncio.run(send(service, "POST", "/v1/refine", json=body))
    assert registry.get_sample_value("redraft_feedback_score_count") == 3


def test_a_loop_without_an_answer_is_counted_as_failed() -> None:
    scraped, _ = after(refine, Fail(EngineUnavailable("gone")))
    assert value(scraped, "redraft_loops_total", route="refine", outcome="failed") == 1
    counted = scraped["redraft_requests_total"]
    assert counted == {(("outcome", "5xx"), ("route", "/v1/refine")): 1}


def test_a_client_that_leaves_is_counted_as_cancelled_and_so_are_its_tokens() -> None:
    registry = CollectorRegistry()
    pause = Pause("draft-0")
    engine = ScriptedEngine("Paris it is.", gate=pause)
    service = Service(srt_model(engine), metrics=Metrics(registry))
    with serving(build_app(ServerConfig(), service)) as served:
        body = {"prompt": "Capital of France?", "stream": True}
        with httpx.stream("POST", f"{served.url}/v1/refine", json=body, timeout=60) as answer:
            lines = answer.iter_lines()  # httpx closes the connection of one that is forgotten
            next(lines)
            pause.wait_reached()
            assert registry.get_sample_value("redraft_loops_in_flight") == 1
        served.call(asyncio.wait_for(service.drain(600), 120))
    labels = {"route": "refine", "outcome": "cancelled"}
    assert registry.get_sample_value("redraft_loops_total", labels) == 1
    spent = registry.get_sample_value("redraft_prompt_tokens_total", {"phase": "draft"})
    assert spent is not None
    assert spent > 0
    labels = {"route": "/v1/refine", "outcome": "cancelled"}
    assert registry.get_sample_value("redraft_requests_total", labels) == 1
    assert registry.get_sample_value("redraft_loops_in_flight") == 0


def test_who_is_turned_away_at_the_door_is_counted() -> None:
    async def test() -> None:
        admission = Admission(ServerConfig(max_loops=1, max_queue=0))
        service = Service(srt_model(ScriptedEngine()), {}, admission, Metrics(CollectorRegistry()))
        async with admission.place("somebody", Interrupt()):
            await send(service, "POST", "/v1/refine", json={"prompt": "Capital of France?"})
        scraped = read((await send(service, "GET", "/metrics")).text)
        assert value(scraped, "redraft_admission_rejections_total", reason="queue_full") == 1

    asyncio.run(test())


def test_engines_are_up_or_down_and_the_build_is_known() -> None:
    async def test() -> None:
        engine, critic = ScriptedEngine(), ScriptedEngine(name="strong")
        await critic.close()
        registry = CollectorRegistry()
        critics = {"strong": srt_model(critic)}
        service = Service(srt_model(engine), critics, metrics=Metrics(registry))
        scraped = read((await send(service, "GET", "/metrics")).text)
        assert value(scraped, "redraft_engine_up", engine="default") == 1
        assert value(scraped, "redraft_engine_up", engine="strong") == 0
        ((labels, one),) = scraped["redraft_build_info"].items()
        assert (dict(labels)["model"], dict(labels)["style"], one) == ("scripted", "srt", 1)

    asyncio.run(test())


def test_names_follow_the_conventions_and_no_label_can_grow_without_end() -> None:
    def requests(client: httpx.Client) -> None:
        client.headers["x-request-id"] = "my-own-request"
        told = refine(client)
        ids.append(told["id"])

    ids: list[str] = []
    _, registry = after(requests, "A country.", feedback(4), "Paris.")
    for family in registry.collect():
        assert re.fullmatch(r"redraft_[a-z_]+", family.name)
        assert family.documentation
        for sample in family.samples:
            assert "my-own-request" not in json.dumps(sample.labels)
            assert ids[0] not in json.dumps(sample.labels)
            assert set(sample.labels) <= {
                *("route", "outcome", "stop_reason", "phase", "kept", "reason", "engine"),
                *("version", "model", "style", "le", "client", "form"),
            }
        if family.type == "counter":
            assert all(s.name.endswith(("_total", "_created")) for s in family.samples)


def test_metrics_of_one_registry_count_together_however_often_they_are_made() -> None:
    registry = CollectorRegistry()
    for _ in range(2):
        Metrics(registry).rejected("queue_full")
    labels = {"reason": "queue_full"}
    assert registry.get_sample_value("redraft_admission_rejections_total", labels) == 2


def test_the_engines_own_metrics_are_on_the_same_page() -> None:
    Metrics(), Metrics()  # on the registry of the process, where vLLM's are
    exposition = Metrics().exposition().decode()
    assert "python_info" in exposition
    assert "redraft_loops_in_flight" in exposition
    assert REGISTRY.get_sample_value("redraft_loops_in_flight") is not None


def test_what_keeps_feedback_readable_is_a_metric_of_each_engine() -> None:
    scraped, _ = after(lambda client: None)
    forms = scraped["redraft_feedback_form"]
    assert {dict(labels)["form"]: number for labels, number in forms.items()} == {
        "trained": 1,
        "grammar": 0,
        "json_schema": 0,
        "free_text": 0,
    }


def test_a_text_that_repeats_itself_is_counted_by_phase_and_told() -> None:
    told: list[dict[str, Any]] = []

    def requests(client: httpx.Client) -> None:
        body = {"messages": [{"role": "user", "content": "Hi"}]}
        told.append(client.post("/v1/chat/completions", json=body).json())

    scraped, _ = after(requests, "again and " * 100, feedback(3), "Once.")
    assert told[0]["refine"]["repeated"] == 1
    assert value(scraped, "redraft_repetitions_total", phase="draft") == 1
    assert value(scraped, "redraft_repetitions_total", phase="refinement") == 0


@pytest.mark.parametrize("named", [True, False])
def test_the_names_of_clients_can_be_left_out(named: bool) -> None:
    metrics = Metrics(CollectorRegistry(), names_clients=named)
    metrics.client("alice", 3)
    metrics.client("bob", 4)
    shown = metrics.exposition().decode()
    assert ("alice" in shown) is named
    assert ('redraft_client_tokens_total{client="all"} 7.0' in shown) is not named
