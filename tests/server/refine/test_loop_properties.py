"""What holds for every loop, whatever the engine writes and whatever is asked.
Spans: server/refine"""

from __future__ import annotations

from typing import get_args

from hypothesis import given, settings
from hypothesis import strategies as st

from redraft.server.engine.base import (
    EngineError,
    EngineUnavailable,
    PromptTooLong,
    Sampling,
    Tokens,
)
from redraft.server.engine.scripted_engine import Entry, Fail, ReceivedCall, ScriptedEngine
from redraft.server.refine.events import Delta, Event, Finished
from redraft.server.refine.loop import Brief, NoDraft
from redraft.server.refine.policy import Policy
from redraft.server.refine.trace import StopReason
from tests.support.examples import examples
from tests.support.loops import QUESTION, feedback, gather, run, trace_of

REASONS = get_args(StopReason)

words = st.lists(st.sampled_from(["a", "b", "c", "Overall", "Score:", "[[3]]"]), max_size=6)
texts = words.map(" ".join)
failures = st.builds(Fail, st.sampled_from([EngineUnavailable("x"), PromptTooLong("y")]), texts)
scored = st.integers(1, 10).map(feedback)
replies = st.one_of(texts, scored, scored, scored, failures)
samplings = st.builds(
    Sampling,
    temperature=st.sampled_from([None, 0.0, 1.0]),
    max_tokens=st.one_of(st.none(), st.integers(1, 20)),
)
several = st.one_of(
    st.builds(lambda drafts: (drafts, "best", None), st.integers(1, 3)),
    st.builds(
        lambda drafts, subset: (drafts, "candidates", subset and min(subset, drafts)),
        st.integers(2, 4),
        st.one_of(st.none(), st.integers(1, 4)),
    ),
)
policies = st.builds(
    lambda several, **options: Policy(
        drafts=several[0], combine=several[1], subset=several[2], **options
    ),
    several,
    max_iterations=st.integers(0, 4),
    good_enough=st.one_of(st.none(), st.integers(1, 10)),
    keep=st.sampled_from(["best", "last", "vote"]),
    feedback_by=st.sampled_from(["model", "model", "off"]),
    feedback_votes=st.sampled_from([1, 1, 2, 3]),
    token_budget=st.one_of(st.none(), st.integers(0, 60)),
    seed=st.one_of(st.none(), st.integers(0, 9)),
    draft=samplings,
    feedback=samplings,
    refinement=samplings,
)
givens = st.builds(
    Brief,
    st.just(QUESTION.instruction),
    response=st.one_of(st.none(), texts),
    feedback=st.one_of(st.none(), texts, scored),
)


def runs(engine: ScriptedEngine, policy: Policy, brief: Brief, live: bool) -> list[Event] | None:
    """The events, or None where there was no draft to answer with."""
    try:
        return run(gather(engine, policy, brief, live=live))
    except (EngineError, NoDraft):
        return None


def prompt_tokens(call: ReceivedCall) -> int:
    assert isinstance(call.prompt, Tokens)
    return len(call.prompt.ids)


def engine_saying(script: list[Entry], window: int) -> ScriptedEngine:
    """Says these things in turn for ever, so that every length of loop is reached."""
    turns = iter(script * 40)
    return ScriptedEngine(reply=lambda prompt, sampling: next(turns), window=window)


Case = tuple[list[Entry], int, Policy, Brief, bool]
cases: st.SearchStrategy[Case] = st.tuples(
    st.lists(replies, min_size=1, max_size=8),
    st.sampled_from([24, 60, 4096]),
    policies,
    givens,
    st.booleans(),
)


@settings(max_examples=examples(400), deadline=None)
@given(cases)
def test_every_loop_ends_well(case: Case) -> None:
    script, window, policy, request, live = case
    engine = engine_saying(script, window)
    events = runs(engine, policy, request, live)
    assert engine.running == 0
    if events is None:
        return
    assert [e for e in events if isinstance(e, Finished)] == events[-1:]
    trace = trace_of(events)
    assert trace.stop_reason in REASONS
    seen = [c.response for i in range(len(trace.responses)) for c in trace.population(i)]
    assert trace.answer in (*trace.responses, *seen)
    assert all(c.response in seen for i in trace.iterations for c in i.candidates)
    assert len(trace.responses) <= policy.max_iterations + 1
    assert len(trace.scores) == len(trace.responses)
    assert sum(i.refinement is None for i in trace.iterations[:-1]) == 0
    told = "".join(e.text for e in events if isinstance(e, Delta) and e.live)
    assert told in ("", trace.answer.text)


@settings(max_examples=examples(400), deadline=None)
@given(cases)
def test_usage_adds_up_and_the_budget_holds(case: Case) -> None:
    script, window, policy, request, live = case
    engine = engine_saying(script, window)
    events = runs(engine, policy, request, live)
    if events is None:
        return
    trace = trace_of(events)
    assert trace.usage.calls == len(engine.history)
    assert trace.usage.prompt_tokens == sum(map(prompt_tokens, engine.history))
    assert 0 <= trace.answer.tokens <= trace.usage.completion_tokens
    if policy.token_budget is not None:
        extra = sum(t.usage.completion_tokens for p, t in trace.totals.items() if p != "draft")
        assert extra <= policy.token_budget


@settings(max_examples=examples(100), deadline=None)
@given(cases)
def test_the_same_request_gives_the_same_trace(case: Case) -> None:
    script, window, policy, request, live = case

    def once() -> tuple[object, ...] | None:
        events = runs(engine_saying(script, window), policy, request, live)
        if events is None:
            return None
        trace = trace_of(events)
        return trace.responses, trace.scores, trace.kept, trace.stop_reason, trace.usage

    assert once() == once()
