"""vLLM's own metrics are on the same page as the loop's, and both count the same tokens.
Spans: server/engine/vllm_engine, server/telemetry/metrics"""

from __future__ import annotations

from pathlib import Path

import pytest

from redraft.server.model import ServedModel
from redraft.server.refine import manifest
from redraft.server.service import Service
from tests.server.telemetry.test_metrics import Scraped, read
from tests.support.asgi import send
from tests.support.tiny_engine import Running, running_engine

BODY = {"prompt": "Name 4 animals in alphabetical order.", "max_tokens": 12, "seed": 1}


def scrape(running: Running, service: Service) -> Scraped:
    return read(running.run(send(service, "GET", "/metrics")).text)


def total(scraped: Scraped, name: str) -> float:
    return sum(scraped.get(name, {}).values())


@pytest.mark.vllm
def test_the_engine_and_the_loop_count_the_same_tokens(tmp_path: Path) -> None:
    with running_engine(tmp_path) as running:
        service = Service(ServedModel(running.engine, manifest.read(tmp_path)))
        before = scrape(running, service)
        told = running.run(send(service, "POST", "/v1/refine", json=BODY)).json()
        after = scrape(running, service)
    pairs = {
        "redraft_completion_tokens_total": "vllm:generation_tokens_total",
        "redraft_prompt_tokens_total": "vllm:prompt_tokens_total",
    }
    for ours, theirs in pairs.items():
        counted = total(after, ours) - total(before, ours)
        assert counted == total(after, theirs) - total(before, theirs) > 0
    counted = total(after, "redraft_completion_tokens_total")
    counted -= total(before, "redraft_completion_tokens_total")
    assert told["usage"]["completion_tokens"] == counted
