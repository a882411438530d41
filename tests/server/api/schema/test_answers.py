"""The declared shapes of answers: /docs shows them, and what the loop writes follows them."""

from __future__ import annotations

import pytest

from redraft.server.api import outcome
from redraft.server.api.app import build_app
from redraft.server.api.schema.answers import RefineOutcome, RefineUsage, TraceJson
from redraft.server.config import ServerConfig
from redraft.server.engine.base import EngineUnavailable
from redraft.server.engine.scripted_engine import Fail, ScriptedEngine
from redraft.server.refine.trace import Trace
from redraft.server.service import Service
from tests.support.asgi import check_shape, srt_model
from tests.support.loops import answer_to, feedback

TRACES = {
    "refined": answer_to("Lyon", feedback(3), "Paris"),
    "not refined": answer_to("Paris", max_iterations=0),
    "ranked": answer_to("a", "b", feedback(2), feedback(4), drafts=2, max_iterations=0),
    "malformed": answer_to("Lyon", "Bad.", "Worse."),
    "failed": answer_to("Lyon", Fail(EngineUnavailable("gone"), "Weak")),
}


@pytest.mark.parametrize("trace", TRACES.values(), ids=TRACES.keys())
def test_what_a_loop_adds_to_an_answer_is_as_declared(trace: Trace) -> None:
    check_shape(outcome.trace_of(trace), TraceJson)
    check_shape(outcome.usage_with_phases(trace), RefineUsage)
    check_shape(outcome.outcome_of(trace, with_trace=True), RefineOutcome)
    assert "trace" not in outcome.outcome_of(trace, with_trace=False)


@pytest.mark.parametrize(
    ("path", "status", "shape"),
    [
        ("/v1/chat/completions", "200", "ChatCompletion"),
        ("/v1/completions", "200", "TextCompletion"),
        ("/v1/refine", "200", "RefineObject"),
        ("/v1/feedback", "200", "FeedbackObject"),
        ("/v1/refine", "4XX", "ErrorBody"),
    ],
)
def test_the_docs_show_the_declared_shape(path: str, status: str, shape: str) -> None:
    api = build_app(ServerConfig(), Service(srt_model(ScriptedEngine()))).openapi()
    content = api["paths"][path]["post"]["responses"][status]["content"]
    assert content["application/json"]["schema"] == {"$ref": f"#/components/schemas/{shape}"}
    assert api["components"]["schemas"][shape]["properties"]
