"""The typed clients against a real server on a real socket, blocking and async alike."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse

import redraft
from redraft import AsyncRedraft, Event, Redraft, RedraftError
from redraft.clients.wire import event_of
from redraft.server.api.app import build_app
from redraft.server.api.keys import ApiKey
from redraft.server.config import ServerConfig
from redraft.server.engine.base import EngineUnavailable
from redraft.server.engine.scripted_engine import Entry, Fail, ScriptedEngine
from redraft.server.service import Service
from tests.support.asgi import srt_model
from tests.support.loops import feedback
from tests.support.serving import serving

QUESTION = "Capital of France?"
Caller = Callable[..., Any]


@contextmanager
def served(*script: Entry, keys: Sequence[ApiKey] = (), **options: Any) -> Iterator[str]:
    """The address of a server whose engine replays ``script``."""
    engine = ScriptedEngine(*script, **options)
    app = build_app(ServerConfig(), Service(srt_model(engine)), keys)
    with serving(app) as server:
        yield server.url


def blocking(url: str, method: str, *arguments: Any, retries: int = 2, **options: Any) -> Any:
    with Redraft(url, retries=retries) as client:
        result = getattr(client, method)(*arguments, **options)
        return list(result) if method == "stream_refine" else result


def awaiting(url: str, method: str, *arguments: Any, retries: int = 2, **options: Any) -> Any:
    async def ask() -> Any:
        async with AsyncRedraft(url, retries=retries) as client:
            result = getattr(client, method)(*arguments, **options)
            if method == "stream_refine":
                return [event async for event in result]
            return await result

    return asyncio.run(ask())


@pytest.fixture(params=[blocking, awaiting], ids=["Redraft", "AsyncRedraft"])
def call(request: pytest.FixtureRequest) -> Caller:
    """Calls one method of one of the clients: call(url, "refine", instruction, **options)."""
    caller: Caller = request.param
    return caller


def test_both_clients_have_the_same_methods() -> None:
    def methods(client: type) -> dict[str, list[tuple[str, Any]]]:
        return {
            name: [(p.name, p.annotation) for p in inspect.signature(method).parameters.values()]
            for name, method in inspect.getmembers(client, inspect.isfunction)
            if not name.startswith("_") or name == "__init__"
        }

    assert methods(Redraft) == methods(AsyncRedraft)
    assert {"refine", "stream_refine", "feedback", "models", "close"} <= methods(Redraft).keys()


def test_an_answer_comes_with_how_it_came_about(call: Caller) -> None:
    with served("A country.", feedback(4), "Paris.") as url:
        refined = call(url, "refine", QUESTION)
    assert refined.answer == "Paris."
    assert (refined.stop_reason, refined.iterations, refined.kept) == ("max_iterations", 1, 1)
    assert refined.scores == (4, None)
    assert refined.usage.completion_tokens > refined.usage.reasoning_tokens > 0
    assert refined.trace
    assert refined.trace["drafts"][0]["text"] == "A country."


def test_a_chat_and_options_reach_the_server(call: Caller) -> None:
    chat = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": QUESTION}]
    with served("Paris.", feedback(9)) as url:
        refined = call(url, "refine", chat, good_enough=8, max_iterations=3, trace=False)
    assert refined.stop_reason == "good_enough"
    assert refined.trace is None


def test_a_stream_tells_every_phase_and_ends_with_the_answer(call: Caller) -> None:
    with served("A country.", feedback(4), "It is Paris.") as url:
        events = call(url, "stream_refine", QUESTION)
    texts = {
        phase: "".join(event.text for event in events if event.phase == phase)
        for phase in ("draft", "feedback", "refinement")
    }
    assert texts == {"draft": "A country.", "feedback": feedback(4), "refinement": "It is Paris."}
    assert events[-1].refined
    assert events[-1].refined.answer == "It is Paris."
    assert [event.fields["sequence_number"] for event in events] == list(range(len(events)))


def test_a_refusal_names_the_field(call: Caller) -> None:
    with served("Paris.") as url, pytest.raises(RedraftError) as error:
        call(url, "refine", QUESTION, max_iterations=-1)
    assert (error.value.status, error.value.param) == (400, "max_iterations")


def test_a_refused_stream_is_an_error_and_not_an_empty_one(call: Caller) -> None:
    with served("Paris.") as url, pytest.raises(RedraftError) as error:
        call(url, "stream_refine", "")
    assert error.value.status == 400


def test_a_stream_that_fails_half_way_raises(call: Caller) -> None:
    lost = Fail(EngineUnavailable("lost"), "Half a")
    with served(lost) as url, pytest.raises(RedraftError, match="lost"):
        call(url, "stream_refine", QUESTION)


def test_a_server_that_is_not_there_is_named(call: Caller) -> None:
    with pytest.raises(RedraftError, match=r"no answer from http://127\.0\.0\.1:9"):
        call("http://127.0.0.1:9", "refine", QUESTION)


def test_the_key_comes_from_the_environment(call: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [ApiKey.of("alice", "sk-alice")]
    with served("Paris.", feedback(9), "Paris.", keys=keys) as url:
        monkeypatch.delenv("OPENAI_API_KEY", raising=False)
        with pytest.raises(RedraftError) as error:
            call(url, "refine", QUESTION)
        assert error.value.status == 401
        monkeypatch.setenv("OPENAI_API_KEY", "sk-alice")
        assert call(url, "refine", QUESTION).answer == "Paris."


class Busy:
    """An app that turns away the first requests."""

    def __init__(self, refusals: int, **headers: str) -> None:
        self.refusals, self.headers, self.requests = refusals, headers, 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        self.requests += 1
        await Request(scope, receive).body()
        answer = JSONResponse({"data": [{"id": "name"}]})
        if self.requests <= self.refusals:
            headers = {name.replace("_", "-"): value for name, value in self.headers.items()}
            error = {"message": "busy", "code": "overloaded", "param": None}
            answer = JSONResponse({"error": error}, 503, headers)
        await answer(scope, receive, send)


def test_a_busy_server_is_asked_again_when_it_says(call: Caller) -> None:
    app = Busy(2, retry_after="0")
    with serving(app) as server:
        assert call(server.url, "models") == ["name"]
    assert app.requests == 3


def test_a_busy_server_is_not_asked_for_ever(call: Caller) -> None:
    app = Busy(100, retry_after="0")
    with serving(app) as server, pytest.raises(RedraftError, match="busy") as error:
        call(server.url, "models", retries=4)
    assert (app.requests, error.value.code) == (5, "overloaded")


def test_what_was_paid_for_is_not_asked_again(call: Caller) -> None:
    app = Busy(1, retry_after="0", x_should_retry="false")
    with serving(app) as server, pytest.raises(RedraftError):
        call(server.url, "models")
    assert app.requests == 1


def test_a_retry_after_that_is_a_date_does_not_break_the_client(call: Caller) -> None:
    app = Busy(1, retry_after="Wed, 21 Oct 2026 07:28:00 GMT")
    with serving(app) as server:
        assert call(server.url, "models") == ["name"]


def test_models_are_listed_with_their_suffixes(call: Caller) -> None:
    with served() as url:
        names = call(f"{url}/v1", "models")
    assert {"scripted", "scripted:direct", "scripted:refine"} <= set(names)


def test_feedback_can_be_had_alone(call: Caller) -> None:
    with served(feedback(4, "Not a city.", "Name the city.")) as url:
        answer = call(url, "feedback", QUESTION, "A country.")
    assert (answer.score, answer.weaknesses, answer.suggestions) == (
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
        async with AsyncRedraft(url) as client:
            return await first(client.stream_refine(QUESTION))

    engine = ScriptedEngine(reply=lambda prompt, sampling: "word " * 50, delay=0.02)
    service = Service(srt_model(engine))

    async def idle() -> None:
        while engine.running or service.running:  # noqa: ASYNC110  # nothing announces idleness
            await asyncio.sleep(0.005)

    with serving(build_app(ServerConfig(), service)) as server:
        assert asyncio.run(ask(server.url)).phase == "draft"
        server.call(asyncio.wait_for(idle(), 120))


@pytest.mark.parametrize("strange", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c"])
def test_what_only_looks_like_a_line_end_stays_in_the_text(call: Caller, strange: str) -> None:
    text = f"Paris{strange}is it."
    with served(text, feedback(10)) as url:
        *_, last = call(url, "stream_refine", QUESTION)
    assert last.refined.answer == text


@pytest.mark.parametrize("line", ["", ": keep-alive", "event: refine.draft.delta", "data: [DONE]"])
def test_lines_that_carry_no_event_are_passed_over(line: str) -> None:
    assert event_of(line) is None


def test_the_package_names_what_it_exports_and_nothing_else() -> None:
    assert all(getattr(redraft, name).__name__ == name for name in redraft.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'Redarft'"):
        redraft.Redarft  # type: ignore[attr-defined]  # noqa: B018
