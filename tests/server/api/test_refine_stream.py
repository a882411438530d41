"""The stream of POST /v1/refine: every phase live, typed and numbered, and an end to every one.
Spans: server/api/refine, server/api/sse"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from redraft.server.api.app import build_app
from redraft.server.api.schema.answers import RefineObject
from redraft.server.config import ServerConfig
from redraft.server.engine.base import Call, EngineUnavailable
from redraft.server.engine.scripted_engine import Fail, ScriptedEngine
from redraft.server.service import Service
from tests.support.asgi import check_shape, post, srt_model
from tests.support.loops import feedback
from tests.support.serving import Served, serving

ASKED = {"prompt": "Capital of France?", "stream": True}


@dataclass(frozen=True)
class Sent:
    """One server-sent event."""

    name: str
    data: dict[str, Any]


def read(lines: Iterator[str]) -> Iterator[Sent]:
    name = ""
    for line in lines:
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield Sent(name, json.loads(line.removeprefix("data: ")))


def stream(body: dict[str, Any], *script: Any, **more: Any) -> list[Sent]:
    answer = post("/v1/refine", {**ASKED, **body}, *script, **more)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-accel-buffering"] == "no"
    return list(read(iter(answer.text.splitlines())))


def types(events: list[Sent]) -> list[str]:
    """The types in their order, repeated ones once."""
    names = [event.data["type"] for event in events]
    return [name for at, name in enumerate(names) if at == 0 or names[at - 1] != name]


def text(events: list[Sent], phase: str) -> str:
    deltas = (e.data["delta"] for e in events if e.data["type"] == f"refine.{phase}.delta")
    return "".join(deltas)


def test_the_phases_come_in_order_and_the_whole_object_ends_the_stream() -> None:
    events = stream({}, "A country.", feedback(4), "Paris is it.")
    assert types(events) == [
        "refine.draft.delta",
        "refine.draft.done",
        "refine.feedback.delta",
        "refine.feedback.done",
        "refine.refinement.delta",
        "refine.refinement.done",
        "refine.iteration.done",
        "refine.completed",
    ]
    assert text(events, "draft") == "A country."
    assert text(events, "feedback") == feedback(4)
    assert text(events, "refinement") == "Paris is it."


def test_every_event_has_its_type_and_its_number() -> None:
    events = stream({}, "A country.", feedback(4), "Paris.")
    assert [event.name for event in events] == [event.data["type"] for event in events]
    numbers = [event.data["sequence_number"] for event in events]
    assert numbers == list(range(len(events)))


def test_the_last_event_is_what_a_plain_request_would_have_answered() -> None:
    script = ("A country.", feedback(4), "Paris.")
    completed = stream({}, *script)[-1].data["refine"]
    check_shape(completed, RefineObject)
    plain = post("/v1/refine", {"prompt": ASKED["prompt"]}, *script).json()
    for changing in ("id", "created", "usage"):
        completed.pop(changing), plain.pop(changing)
    assert completed == plain


def test_feedback_is_told_as_it_was_read() -> None:
    events = stream({}, "A country.", feedback(4, "No city.", "Name it."), "Paris.")
    (done,) = [event.data for event in events if event.name == "refine.feedback.done"]
    assert done["iteration"] == 1
    assert done["feedback"]["score"] == 4
    assert done["feedback"]["weaknesses"] == "No city."


def test_rejected_feedback_is_told_with_the_problem_and_asked_for_again() -> None:
    events = stream({}, "A country.", "Bad.", feedback(4), "Paris.")
    (rejected,) = [event.data for event in events if event.name == "refine.feedback.rejected"]
    assert (rejected["iteration"], rejected["text"]) == (1, "Bad.")
    assert "Overall Score" in rejected["problem"]
    assert events[-1].data["refine"]["trace"]["malformed"] == 1


def test_an_iteration_that_ends_on_its_feedback_is_done_without_a_refinement() -> None:
    events = stream({"good_enough": 8}, "Paris.", feedback(9))
    (done,) = [event.data for event in events if event.name == "refine.iteration.done"]
    assert (done["iteration"], done["score"], done["refined"]) == (1, 9, False)


def test_each_iteration_is_done_once() -> None:
    script = ("a", feedback(1), "b", feedback(2), "c")
    events = stream({"max_iterations": 2}, *script)
    done = [event.data for event in events if event.name == "refine.iteration.done"]
    assert [(d["iteration"], d["score"], d["refined"]) for d in done] == [
        (1, 1, True),
        (2, 2, True),
    ]


def test_of_several_drafts_each_is_told_whole() -> None:
    events = stream({"drafts": 2, "max_iterations": 0}, "a", "b", feedback(3), feedback(7))
    drafts = [event.data for event in events if event.name == "refine.draft.done"]
    assert sorted(draft["index"] for draft in drafts) == [0, 1]
    assert {draft["draft"]["feedback"]["score"] for draft in drafts} == {3, 7}


def test_a_failure_after_the_draft_still_completes() -> None:
    events = stream({}, "Paris.", Fail(EngineUnavailable("gone"), "Half"))
    assert events[-1].data["refine"]["stop_reason"] == "engine_failure"
    assert events[-1].data["refine"]["answer"] == "Paris."


def test_a_failure_before_any_text_is_an_error_with_a_status() -> None:
    answer = post("/v1/refine", ASKED, Fail(EngineUnavailable("gone")))
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "engine_unavailable")


def test_a_failure_within_the_draft_is_the_last_event() -> None:
    events = stream({}, Fail(EngineUnavailable("the engine is gone"), "Half a draft"))
    last = events[-1]
    assert (last.name, last.data["type"]) == ("error", "error")
    assert last.data["error"]["code"] == "engine_unavailable"
    assert last.data["sequence_number"] == len(events) - 1


def test_a_wrong_request_is_refused_before_the_stream_begins() -> None:
    answer = post("/v1/refine", {**ASKED, "keep": "worst"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "keep")


@contextmanager
def live(engine: ScriptedEngine, **config: Any) -> Iterator[tuple[Served, Service]]:
    service = Service(srt_model(engine))
    with serving(build_app(ServerConfig(**config), service)) as served:
        yield served, service


@contextmanager
def asking(served: Served, body: dict[str, Any] = ASKED) -> Iterator[Iterator[str]]:
    """The lines of one stream, as they come."""
    url = f"{served.url}/v1/refine"
    with httpx.Client(timeout=60) as client, client.stream("POST", url, json=body) as answer:
        yield answer.iter_lines()


class Gate:
    """Holds an engine at one token of one phase until it is opened."""

    def __init__(self, phase: str, position: int) -> None:
        self._phase, self._position = phase, position
        self.reached, self.open = asyncio.Event(), asyncio.Event()

    async def __call__(self, call: Call, position: int) -> None:
        if f"-{self._phase}-" in call.request_id and position == self._position:
            self.reached.set()
            await self.open.wait()


@pytest.mark.parametrize("phase", ["draft", "feedback", "refinement"])
def test_text_is_sent_while_the_rest_of_its_phase_is_not_yet_written(phase: str) -> None:
    gate = Gate(phase, 1)
    engine = ScriptedEngine("Paris it is", feedback(4), "It is Paris", gate=gate)
    with live(engine) as (served, _), asking(served) as lines:
        events = read(lines)
        for event in events:
            if event.name == f"refine.{phase}.delta":
                assert engine.running == 1  # it is held, so the rest cannot be written yet
                served.now(gate.open.set)
                break
        assert list(events)[-1].name == "refine.completed"


@pytest.mark.parametrize("phase", ["draft", "feedback", "refinement"])
def test_a_client_that_leaves_ends_the_work_in_whatever_phase(phase: str) -> None:
    gate = Gate(phase, 1)
    engine = ScriptedEngine("Paris it is", feedback(4), "It is Paris", gate=gate)
    with live(engine) as (served, service):
        with asking(served) as lines:
            for event in read(lines):
                if event.name == f"refine.{phase}.delta":
                    break
        # Draining waits for the loop: without its client it ends long before the grace limit.
        served.call(asyncio.wait_for(service.drain(600), 120))
        assert engine.running == 0


@pytest.mark.parametrize("path", ["/v1/refine", "/v1/feedback"])
def test_a_client_that_leaves_without_reading_a_stream_ends_the_work_too(path: str) -> None:
    gate = Gate("feedback", 1)
    engine = ScriptedEngine(feedback(4), "It is Paris", gate=gate)
    body = json.dumps({"prompt": "Capital of France?", "response": "Lyon."})
    head = f"POST {path} HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n"
    with live(engine) as (served, service):
        with socket.create_connection(("127.0.0.1", served.port)) as client:
            client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
            served.call(gate.reached.wait())
        served.call(asyncio.wait_for(service.drain(600), 120))
        assert engine.running == 0


def test_silence_is_filled_with_comments() -> None:
    gate = Gate("feedback", 0)
    engine = ScriptedEngine("Paris", feedback(9), gate=gate)
    body = {**ASKED, "good_enough": 9}
    with live(engine, keep_alive_s=0.05) as (served, _), asking(served, body) as lines:
        assert any(line.startswith(": ") for line in lines)
        served.now(gate.open.set)
        assert list(read(lines))[-1].name == "refine.completed"
