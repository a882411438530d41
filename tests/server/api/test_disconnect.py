"""A client that leaves ends the work for it, in every phase, streamed or not.
Spans: server/api, server/service, server/refine"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from redraft.server.admission import Admission
from redraft.server.config import ServerConfig
from redraft.server.engine.scripted_engine import ScriptedEngine
from redraft.server.service import Service
from tests.support.asgi import srt_model
from tests.support.faults import fault
from tests.support.loops import feedback
from tests.support.serving import Pause, Served, answering

MESSAGES = [{"role": "user", "content": "Capital of France?"}]
LOOP = ("Lyon, I think", feedback(3), "It is Paris")
PHASES = ("draft-0", "feedback-1", "refinement-1")


@contextmanager
def connection(
    served: Served | httpx.URL, path: str, body: dict[str, Any]
) -> Iterator[socket.socket]:
    """A request under way, on a socket of its own."""
    content = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    assert served.port
    with socket.create_connection(("127.0.0.1", served.port)) as client:
        client.sendall(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
        yield client


def idle(service: Service, engine: ScriptedEngine) -> bool:
    return not (engine.running or service.running or service.admission.waiting)


@fault(
    "Clients",
    "A client leaves, in any phase",
    sees="nothing",
    lost="its answer",
    recovers="ends the engine's work for it at once",
)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("phase", PHASES)
def test_leaving_a_chat_stops_the_engine(phase: str, stream: bool) -> None:
    pause = Pause(phase)
    engine = ScriptedEngine(*LOOP, gate=pause)
    service = Service(srt_model(engine))
    with answering(engine, service) as served:
        body = {"messages": MESSAGES, "stream": stream}
        with connection(served, "/v1/chat/completions", body):
            pause.wait_reached()
        pause.wait_left()
        served.until(lambda: idle(service, engine))
    assert len(engine.history) == PHASES.index(phase) + 1  # nothing was asked afterwards


@pytest.mark.parametrize("stream", [False, True])
def test_leaving_a_completion_stops_the_engine(stream: bool) -> None:
    pause = Pause("draft-0")
    engine = ScriptedEngine(*LOOP, gate=pause)
    service = Service(srt_model(engine))
    with answering(engine, service) as served:
        body = {"prompt": "The capital of France is", "stream": stream}
        with connection(served, "/v1/completions", body):
            pause.wait_reached()
        pause.wait_left()
        served.until(lambda: idle(service, engine))


@pytest.mark.parametrize("stream", [False, True])
def test_leaving_stops_all_drafts_that_are_written_side_by_side(stream: bool) -> None:
    pause = Pause("draft-0")
    engine = ScriptedEngine(*["Lyon, I think"] * 8, gate=pause)
    service = Service(srt_model(engine))
    with answering(engine, service) as served:
        refine = {"drafts": 8, "max_iterations": 0}
        body = {"messages": MESSAGES, "stream": stream, "refine": refine}
        with connection(served, "/v1/chat/completions", body):
            pause.wait_reached()
        pause.wait_left()
        served.until(lambda: idle(service, engine))


@pytest.mark.parametrize("stream", [False, True])
def test_leaving_the_queue_leaves_no_gap_in_it(stream: bool) -> None:
    pause = Pause("draft-0")
    engine = ScriptedEngine(*LOOP, gate=pause)
    service = Service(srt_model(engine), admission=Admission(ServerConfig(max_loops=1)))
    path, body = "/v1/chat/completions", {"messages": MESSAGES, "stream": stream}
    with answering(engine, service) as served, connection(served, path, body):
        pause.wait_reached()
        with connection(served, path, body):
            served.until(lambda: service.admission.waiting == 1)
        served.until(lambda: service.admission.waiting == 0)
        assert service.running == 1
        pause.release(served)


def test_the_log_and_the_metrics_call_it_cancelled() -> None:
    pause = Pause("draft-0")
    engine = ScriptedEngine(*LOOP, gate=pause)
    service = Service(srt_model(engine))
    line = 'redraft_requests_total{outcome="cancelled",route="/v1/chat/completions"}'

    def count() -> float:
        text = service.metrics.exposition().decode()
        lines = [each for each in text.splitlines() if each.startswith(line)]
        return float(lines[0].split()[-1]) if lines else 0.0

    before = count()
    with answering(engine, service) as served:
        with connection(served, "/v1/chat/completions", {"messages": MESSAGES, "stream": True}):
            pause.wait_reached()
        pause.wait_left()
        served.until(lambda: count() == before + 1)
