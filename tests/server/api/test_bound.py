"""Every answer says what it could have cost at most, and which limit made that less.
Spans: server/api, server/service, server/admission"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from redraft.server.admission import RateLimits
from redraft.server.api.schema.answers import ChatCompletion, RefineObject, TextCompletion
from redraft.server.config import ServerConfig
from redraft.server.engine.scripted_engine import ScriptedEngine
from redraft.server.service import Service
from tests.support.asgi import check_shape, send, srt_model
from tests.support.loops import feedback

CHAT, COMPLETIONS, REFINE = "/v1/chat/completions", "/v1/completions", "/v1/refine"
MESSAGES = [{"role": "user", "content": "Capital of France?"}]
CAPS = {"draft": {"max_tokens": 20}, "feedback_sampling": {"max_tokens": 30}}
REFINED: dict[str, Any] = {**CAPS, "refinement": {"max_tokens": 40}}
MOST = 20 + 2 * 30 + 40
LOOP = ("Lyon", feedback(3), "Paris")


def ask(path: str, left: int | None = None, **body: Any) -> Any:
    rates = RateLimits(ServerConfig(tokens_per_minute=left))
    service = Service(srt_model(ScriptedEngine(*LOOP)), rates=rates)
    return asyncio.run(send(service, "POST", path, json=body))


def test_every_route_tells_the_bound() -> None:
    chat = ask(CHAT, messages=MESSAGES, refine=REFINED).json()
    check_shape(chat, ChatCompletion)
    assert chat["refine"]["usage"]["bound"] == MOST
    assert "bound_by" not in chat["refine"]["usage"]
    completion = ask(COMPLETIONS, prompt="Capital of France?", refine=REFINED).json()
    check_shape(completion, TextCompletion)
    assert completion["refine"]["usage"]["bound"] == MOST
    refined = ask(REFINE, prompt="Capital of France?", **REFINED).json()
    check_shape(refined, RefineObject)
    assert refined["usage"]["bound"] == MOST


@pytest.mark.parametrize(
    ("body", "refine", "bound", "by"),
    [
        ({}, {"token_budget": 50}, 70, "token_budget"),
        ({"max_completion_tokens": 60}, {}, 60, "max_completion_tokens"),
    ],
)
def test_a_request_over_its_own_limit_is_trimmed_to_it(
    body: dict[str, Any], refine: dict[str, Any], bound: int, by: str
) -> None:
    answer = ask(CHAT, messages=MESSAGES, refine={**REFINED, **refine}, **body).json()
    usage = answer["refine"]["usage"]
    assert (usage["bound"], usage["bound_by"]) == (bound, by)
    assert answer["usage"]["completion_tokens"] <= bound


def test_a_request_over_what_its_key_has_left_is_refined_within_it() -> None:
    answer = ask(CHAT, left=MOST - 1, messages=MESSAGES, refine=REFINED).json()
    usage = answer["refine"]["usage"]
    assert (usage["bound"], usage["bound_by"]) == (MOST - 1, "tokens_per_minute")
    assert answer["choices"][0]["message"]["content"] == "Paris"


def test_a_key_without_enough_for_a_draft_gets_the_draft_alone_and_is_told() -> None:
    answer = ask(CHAT, left=10, messages=MESSAGES, refine=REFINED)
    refine = answer.json()["refine"]
    assert (refine["stop_reason"], refine["usage"]["bound"]) == ("token_budget", 20)
    assert answer.json()["choices"][0]["message"]["content"] == "Lyon"
    told = "what this API key has left of its tokens a minute left no room to refine the answer"
    assert told in answer.headers["redraft-warning"]


def test_without_refinement_a_key_is_not_trimmed() -> None:
    answer = ask(CHAT, left=10, messages=MESSAGES, refine={"max_iterations": 0}).json()
    assert answer["choices"][0]["message"]["content"] == "Lyon"
    assert "bound_by" not in answer["refine"]["usage"]
