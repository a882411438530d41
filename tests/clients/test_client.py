"""The typed client against a real server on a real socket, async and sync alike."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse

from redraft.clients.client import Redraft, SyncRedraft
from redraft.clients.wire import Event, FeedbackGiven, RedraftError, Refined, event_of
from redraft.server.api.app import build_app
from redraft.server.api.edge import ApiKey
from redraft.server.config import ServerConfig
from redraft.server.engine.base import EngineUnavailable
from redraft.server.engine.scripted_engine import Entry, Fail, ScriptedEngine
from redraft.server.service import Service
from tests.support.asgi import srt_model
from tests.support.loops import feedback
from tests.support.serving import serving

QUESTION = "Capital of France?"


@contextmanager
def served(*script: Entry, keys: Sequence[ApiKey] = (), **options: Any) -> Iterator[str]:
    """The address of a server whose engine replays ``script``."""
    engine = ScriptedEngine(*script, **options)
    app = build_app(ServerConfig(), Service(srt_model(engine)), keys)
    with serving(app) as found:
        yield found.url


def refine_async(url: str, given: Any, **options: Any) -> Refined:
    async def ask() -> Refined:
        async with Redraft(url) as redraft:
            return await redraft.refine(given, **options)

    return asyncio.run(ask())


def refine_sync(url: str, given: Any, **options: Any) -> Refined:
    with SyncRedraft(url) as redraft:
        return redraft.refine(given, **options)


def stream_async(url: str, given: Any, **options: Any) -> list[Event]:
    async def ask() -> list[Event]:
        async with Redraft(url) as redraft:
            return [event async for event in redraft.stream_refine(given, **options)]

    return asyncio.run(ask())


def stream_sync(url: str, given: Any, **options: Any) -> list[Event]:
    with SyncRedraft(url) as redraft:
        return list(redraft.stream_refine(given, **options))


both_refine = pytest.mark.parametrize("refine", [refine_async, refine_sync])
both_stream = pytest.mark.parametrize("stream", [stream_async, stream_sync])
RefineCall = Callable[..., Refined]
StreamCall = Callable[..., list[Event]]


@both_refine
def test_an_answer_comes_with_how_it_came_about(refine: RefineCall) -> None:
    with served("A country.", feedback(4), "Paris.") as url:
        refined = refine(url, QUESTION)
    assert refined.answer == "Paris."
    assert (refined.stop_reason, refined.iterations, refined.kept) == ("max_iterations", 1, 1)
    assert refined.scores == (4, None)
    assert refined.usage.completion_tokens > refined.usage.reasoning_tokens > 0
    assert refined.trace
    assert refined.trace["drafts"][0]["text"] == "A country."


@both_refine
def test_a_chat_and_options_reach_the_server(refine: RefineCall) -> None:
    chat = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": QUESTION}]
    with served("Paris.", feedback(9)) as url:
        refined = refine(url, chat, good_enough=8, max_iterations=3, trace=False)
    assert refined.stop_reason == "good_enough"
    assert refined.trace is None


@both_stream
def test_a_stream_tells_every_phase_and_ends_with_the_answer(stream: StreamCall) -> None:
    with served("A country.", feedback(4), "It is Paris.") as url:
        events = stream(url, QUESTION)
    told = {
        phase: "".join(event.text for event in events if event.phase == phase)
        for phase in ("draft", "feedback", "refinement")
    }
    assert told == {"draft": "A country.", "feedback": feedback(4), "refinement": "It is Paris."}
    assert events[-1].refined
    assert events[-1].refined.answer == "It is Paris."
    assert [event.fields["sequence_number"] for event in events] == list(range(len(events)))


@both_refine
def test_a_refusal_names_the_field(refine: RefineCall) -> None:
    with served("Paris.") as url, pytest.raises(RedraftError) as error:
        refine(url, QUESTION, max_iterations=-1)
    assert (error.value.status, error.value.param) == (400, "max_iterations")


@both_stream
def test_a_refused_stream_is_an_error_and_not_an_empty_one(stream: StreamCall) -> None:
    with served("Paris.") as url, pytest.raises(RedraftError) as error:
        stream(url, "")
    assert error.value.status == 400


@both_stream
def test_a_stream_that_fails_half_way_raises(stream: StreamCall) -> None:
    lost = Fail(EngineUnavailable("lost"), "Half a")
    with served(lost) as url, pytest.raises(RedraftError, match="lost"):
        stream(url, QUESTION)


@both_refine
def test_a_server_that_is_not_there_is_named(refine: RefineCall) -> None:
    with pytest.raises(RedraftError, match=r"no answer from http://127\.0\.0\.1:9"):
        refine("http://127.0.0.1:9", QUESTION)


@both_refine
def test_the_key_comes_from_the_environment(
    refine: RefineCall, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [ApiKey.of("alice", "sk-alice")]
    with served("Paris.", feedback(9), "Paris.", keys=keys) as url:
        monkeypatch.delenv("OPENAI_API_KEY", raising=False)
        with pytest.raises(RedraftError) as error:
            refine(url, QUESTION)
        assert error.value.status == 401
        monkeypatch.setenv("OPENAI_API_KEY", "sk-alice")
        assert refine(url, QUESTION).answer == "Paris."


class Busy:
    """An app that turns away the first requests."""

    def __init__(self, refusals: int, **headers: str) -> None:
        self.refusals, self.headers, self.asked = refusals, headers, 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        self.asked += 1
        await Request(scope, receive).body()
        answer = JSONResponse({"data": [{"id": "name"}]})
        if self.asked <= self.refusals:
            headers = {name.replace("_", "-"): value for name, value in self.headers.items()}
            error = {"message": "busy", "code": "overloaded", "param": None}
            answer = JSONResponse({"error": error}, 503, headers)
        await answer(scope, receive, send)


def models(url: str, **options: Any) -> list[str]:
    async def ask() -> list[str]:
        async with Redraft(url, **options) as redraft:
            return await redraft.models()

    return asyncio.run(ask())


def test_a_busy_server_is_asked_again_when_it_says() -> None:
    app = Busy(2, retry_after="0")
    with serving(app) as found:
        assert models(found.url) == ["name"]
    assert app.asked == 3


def test_a_busy_server_is_not_asked_for_ever() -> None:
    app = Busy(100, retry_after="0")
    with serving(app) as found, pytest.raises(RedraftError, match="busy") as error:
        models(found.url, retries=4)
    assert (app.asked, error.value.code) == (5, "overloaded")


def test_what_was_paid_for_is_not_asked_again() -> None:
    app = Busy(1, retry_after="0", x_should_retry="false")
    with serving(app) as found, pytest.raises(RedraftError):
        models(found.url)
    assert app.asked == 1


def test_models_are_listed_with_their_suffixes() -> None:
    with served() as url:
        names = models(f"{url}/v1")
    assert {"scripted", "scripted:direct", "scripted:refine"} <= set(names)


def test_feedback_can_be_had_alone() -> None:
    async def ask(url: str) -> FeedbackGiven:
        async with Redraft(url) as redraft:
            return await redraft.feedback(QUESTION, "A country.")

    with served(feedback(4, "Not a city.", "Name the city.")) as url:
        given = asyncio.run(ask(url))
    assert (given.score, given.weaknesses, given.suggestions) == (
        4,
        "Not a city.",
        "Name the city.",
    )


def test_a_stream_that_is_closed_ends_the_work_of_the_server() -> None:
    async def first(events: AsyncGenerator[Event, None]) -> Event:
        event = await anext(events)
        await events.aclose()
        return event

    async def ask(url: str) -> Event:
        async with Redraft(url) as redraft:
            return await first(redraft.stream_refine(QUESTION))

    engine = ScriptedEngine(reply=lambda prompt, sampling: "word " * 50, delay=0.02)
    service = Service(srt_model(engine))

    async def idle() -> None:
        while engine.running or service.running:  # noqa: ASYNC110  # nothing announces idleness
            await asyncio.sleep(0.005)

    with serving(build_app(ServerConfig(), service)) as found:
        assert asyncio.run(ask(found.url)).phase == "draft"
        found.call(asyncio.wait_for(idle(), 120))


@pytest.mark.parametrize("line", ["", ": keep-alive", "event: refine.draft.delta", "data: [DONE]"])
def test_lines_that_carry_no_event_are_passed_over(line: str) -> None:
    assert event_of(line) is None
