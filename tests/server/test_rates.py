"""A client has so many requests and tokens a minute; who spent them is told when to come back.
Spans: server/admission, server/api, server/telemetry/metrics"""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from redraft.server.admission import RateLimits, Rejected
from redraft.server.api.keys import ApiKey
from redraft.server.config import ServerConfig
from redraft.server.engine.scripted_engine import ScriptedEngine, demo_reply
from redraft.server.model import ServedModel
from redraft.server.service import Service
from redraft.server.telemetry.metrics import Metrics
from tests.server.api.test_direct import BODY, CHAT, Layer
from tests.support.asgi import send, srt_model
from tests.support.clock import let_pass

KEYS = (ApiKey.of("alice", "a"), ApiKey.of("bob", "b"))
ASKED = {"prompt": "Capital of France?"}


def refused(rates: RateLimits, client: str = "alice") -> Rejected:
    with pytest.raises(Rejected) as caught:
        rates.take(client)
    return caught.value


def test_the_requests_of_a_minute_may_come_at_once_and_no_more() -> None:
    async def test() -> None:
        rates = RateLimits(ServerConfig(requests_per_minute=3))
        for _ in range(3):
            rates.take("alice")
        assert refused(rates).reason == "requests_per_minute"
        rates.take("bob")

    asyncio.run(test())


def test_they_come_back_as_time_goes_by() -> None:
    async def test() -> None:
        rates = RateLimits(ServerConfig(requests_per_minute=3))
        for _ in range(3):
            rates.take("alice")
        assert refused(rates).retry_after_s == 20
        let_pass(20)
        rates.take("alice")
        refused(rates)
        let_pass(3600)
        for _ in range(3):  # a minute's worth, however long nothing was asked for
            rates.take("alice")
        refused(rates)

    asyncio.run(test())


def test_tokens_that_were_spent_must_have_come_back_before_the_next_request() -> None:
    async def test() -> None:
        rates = RateLimits(ServerConfig(tokens_per_minute=600))
        rates.take("alice")
        rates.spend("alice", 700)
        rejected = refused(rates)
        assert rejected.reason == "tokens_per_minute"
        assert rejected.retry_after_s in (10, 11)  # 10, once a tenth of a second has gone by
        assert "600 tokens a minute are spent" in str(rejected)
        let_pass(11)
        rates.take("alice")

    asyncio.run(test())


def test_the_hint_is_never_longer_than_clients_wait() -> None:
    async def test() -> None:
        rates = RateLimits(ServerConfig(tokens_per_minute=10))
        rates.take("alice")
        rates.spend("alice", 10_000)
        assert refused(rates).retry_after_s == 120

    asyncio.run(test())


def service(registry: CollectorRegistry, layer: Layer | None = None, **limits: Any) -> Service:
    engine = ScriptedEngine(reply=demo_reply)
    model = ServedModel(engine, direct=layer.app) if layer else srt_model(engine)
    return Service(model, metrics=Metrics(registry), rates=RateLimits(ServerConfig(**limits)))


async def ask(asked: Service, key: str, path: str = "/v1/refine", body: Any = None) -> Any:
    headers = {"Authorization": f"Bearer {key}"}
    return await send(asked, "POST", path, keys=KEYS, json=body or ASKED, headers=headers)


def test_a_key_that_has_spent_its_requests_gets_a_429_and_others_are_served() -> None:
    async def test() -> list[httpx.Response]:
        limited = service(registry, requests_per_minute=1)
        return [await ask(limited, key) for key in "aab"]

    registry = CollectorRegistry()
    first, second, other = asyncio.run(test())
    assert (first.status_code, other.status_code) == (200, 200)
    assert second.status_code == 429
    error = second.json()["error"]
    assert (error["type"], error["code"]) == ("rate_limit_error", "rate_limit_exceeded")
    assert 1 <= int(second.headers["retry-after"]) <= 60
    assert "x-should-retry" not in second.headers  # nothing was spent: clients may try again
    rejected = {"reason": "requests_per_minute"}
    assert registry.get_sample_value("redraft_admission_rejections_total", rejected) == 1


def test_all_phases_of_a_loop_count_and_metrics_name_who_spent_them() -> None:
    async def test() -> tuple[httpx.Response, httpx.Response]:
        limited = service(registry, tokens_per_minute=10)
        return await ask(limited, "a"), await ask(limited, "a")

    registry = CollectorRegistry()
    first, second = asyncio.run(test())
    assert second.status_code == 429
    spent = registry.get_sample_value("redraft_client_tokens_total", {"client": "alice"})
    assert spent == first.json()["usage"]["total_tokens"] > 10
    assert registry.get_sample_value("redraft_client_requests_total", {"client": "alice"}) == 1


@pytest.mark.parametrize(
    ("layer", "spent"),
    [
        (Layer(answer={"choices": [], "usage": {"total_tokens": 12}}), 12),
        (Layer(events=["{}", "{}", '{"usage": {"total_tokens": 34}}']), 34),
        (Layer(events=["{}", "{}", "{}"]), 3),
    ],
)
def test_what_the_engines_own_layer_spends_counts(layer: Layer, spent: int) -> None:
    async def test() -> httpx.Response:
        limited = service(registry, layer, tokens_per_minute=1000)
        body = {**BODY, "stream": bool(layer.events)}
        answer: httpx.Response = await ask(limited, "b", CHAT, body)
        return answer

    registry = CollectorRegistry()
    assert asyncio.run(test()).status_code == 200
    assert registry.get_sample_value("redraft_client_tokens_total", {"client": "bob"}) == spent


def test_without_limits_nobody_is_turned_away() -> None:
    async def test() -> None:
        rates = RateLimits(ServerConfig())
        for _ in range(1000):
            rates.take("alice")
            rates.spend("alice", 10**9)

    asyncio.run(test())
