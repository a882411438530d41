"""Which options a request gets: manifest < operator < suffix < effort < refine, field by field."""

from __future__ import annotations

from typing import Any

import pytest

from redraft.server.api import decide
from redraft.server.api.decide import Decision
from redraft.server.api.schema.requests import ChatRequest
from redraft.server.config import ServerConfig
from redraft.server.engine.scripted_engine import ScriptedEngine
from redraft.server.refine.manifest import DefaultPolicy
from redraft.server.service import Service
from tests.support.asgi import srt_model

MESSAGES = [{"role": "user", "content": "Hi"}]


def decided(
    config: ServerConfig | None = None, manifest: DefaultPolicy | None = None, **body: Any
) -> Decision:
    service = Service(srt_model(ScriptedEngine(), manifest))
    config = config or ServerConfig()
    request = ChatRequest.model_validate({"messages": MESSAGES, **body})
    return decide.decide(decide.requested_by(request, service, config), service, config)


def iterations(**body: Any) -> int:
    manifest = DefaultPolicy(max_iterations=5)
    return decided(ServerConfig(max_iterations=3), manifest, **body).policy.max_iterations


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, 3),
        ({"model": "scripted"}, 3),
        ({"model": "scripted:direct"}, 0),
        ({"model": "scripted:refine"}, 3),
        ({"model": "scripted:refine-2"}, 2),
        ({"model": "scripted:direct", "reasoning_effort": "high"}, 2),
        ({"model": "scripted:refine-4", "reasoning_effort": "none"}, 0),
        ({"reasoning_effort": "low", "refine": {"max_iterations": 6}}, 6),
        ({"model": "scripted:direct", "refine": {"max_iterations": 1}}, 1),
        ({"model": "scripted:refine-2", "refine": {"keep": "best"}}, 2),
        ({"reasoning": {"effort": "xhigh"}}, 3),
        ({"reasoning": {"enabled": False}}, 0),
        ({"reasoning": {"enabled": True}}, 3),
    ],
)
def test_the_more_specific_wins(body: dict[str, Any], expected: int) -> None:
    assert iterations(**body) == expected


@pytest.mark.parametrize(
    ("effort", "expected"),
    [
        ("none", 0),
        ("minimal", 0),
        ("low", 1),
        ("medium", 1),
        ("high", 2),
        ("xhigh", 3),
        ("max", 4),
    ],
)
def test_every_effort(effort: str, expected: int) -> None:
    assert iterations(reasoning_effort=effort) == expected


def test_effort_stops_at_the_servers_cap() -> None:
    config = ServerConfig(max_iterations_cap=2)
    assert decided(config, reasoning_effort="max").policy.max_iterations == 2


def test_without_a_word_from_anyone_it_is_the_papers_setting() -> None:
    policy = decided().policy
    assert (policy.max_iterations, policy.keep, policy.good_enough) == (1, "last", None)


def test_the_operator_goes_over_the_manifest_and_the_request_over_both() -> None:
    manifest = DefaultPolicy(max_iterations=2, good_enough=9, keep="best")
    policy = decided(None, manifest).policy
    assert (policy.max_iterations, policy.keep, policy.good_enough) == (2, "best", 9)
    operator = ServerConfig(max_iterations=1, good_enough=8, keep="last")
    policy = decided(operator, manifest).policy
    assert (policy.max_iterations, policy.keep, policy.good_enough) == (1, "last", 8)
    options = {"max_iterations": 3, "keep": "best", "good_enough": 10}
    policy = decided(operator, manifest, refine=options).policy
    assert (policy.max_iterations, policy.keep, policy.good_enough) == (3, "best", 10)


def test_an_explicit_null_takes_the_gate_away() -> None:
    manifest = DefaultPolicy(good_enough=9)
    assert decided(None, manifest, refine={"good_enough": None}).policy.good_enough is None
    assert decided(None, manifest, refine={}).policy.good_enough == 9


def test_the_server_has_a_longest_time_for_everyone() -> None:
    config = ServerConfig(max_deadline_s=60)
    assert decided(config).deadline_ms == 60_000
    assert decided(config, refine={"deadline_ms": 500}).deadline_ms == 500
    assert decided(ServerConfig(max_deadline_s=0)).deadline_ms is None


def test_the_operators_length_holds_where_the_request_names_none() -> None:
    config = ServerConfig(default_max_tokens=200)
    assert decided(config).policy.draft.max_tokens == 200
    policy = decided(config, max_tokens=300).policy
    assert (policy.draft.max_tokens, policy.refinement.max_tokens) == (300, 300)
    assert decided(config).policy.feedback.max_tokens is None


def test_without_a_word_from_anyone_a_phase_has_a_limit() -> None:
    policy = decided().policy  # the scripted engine's window is 4,096
    assert (policy.response_tokens, policy.feedback_tokens) == (1024, 512)
    assert policy.draft.max_tokens is None


def test_the_operator_moves_the_limits_of_phases_or_removes_them() -> None:
    policy = decided(ServerConfig(default_max_tokens=2000, default_feedback_tokens=300)).policy
    assert (policy.response_tokens, policy.feedback_tokens) == (2000, 300)
    policy = decided(ServerConfig(default_max_tokens=0, default_feedback_tokens=0)).policy
    assert policy.response_tokens is policy.feedback_tokens is policy.draft.max_tokens is None


def test_max_tokens_is_of_each_response_and_never_of_feedback() -> None:
    policy = decided(max_tokens=50).policy
    assert (policy.draft.max_tokens, policy.refinement.max_tokens) == (50, 50)
    assert (policy.feedback.max_tokens, policy.feedback_tokens) == (None, 512)


def test_repetition_may_be_let_be() -> None:
    assert decided().policy.end_repetition
    assert not decided(ServerConfig(end_repetition=False)).policy.end_repetition


def test_phases_are_one_breath_where_the_operator_says_so() -> None:
    assert not decided().policy.one_breath
    assert decided(ServerConfig(one_breath=True)).policy.one_breath
