"""In one breath: the same as call by call, with fewer calls."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redraft.server.engine.base import Call, Chunk, EngineError, Prompt, Sampling, Tokens
from redraft.server.engine.script import Say
from redraft.server.engine.scripted_engine import ScriptedEngine
from redraft.server.refine.adapters import AdaptedAsker, PhaseAdapters
from redraft.server.refine.breath import Breath, follow_at_once
from redraft.server.refine.events import Delta, Event, FeedbackDone, FeedbackRejected
from redraft.server.refine.interrupt import Interrupt
from redraft.server.refine.loop import Brief, NoDraft, refine
from redraft.server.refine.policy import Policy
from redraft.server.refine.srt_format import PLAIN_FEEDBACK, PLAIN_REFINEMENT, SrtFormat
from redraft.server.refine.trace import PhaseTotals, Trace
from tests.support.examples import examples
from tests.support.loops import FORMAT, IN_WORDS, QUESTION, asker, feedback, gather, run, trace_of
from tests.support.writers import FEEDBACK, REFINEMENT, Story, writer

GREEDY = Sampling(temperature=0.0)
ALIKE = Policy(one_breath=True, draft=GREEDY)
ALL = Say("Lyon", more=((FEEDBACK, feedback(3)), (REFINEMENT, "Paris")))
FROM_FEEDBACK = Say(feedback(3), more=((REFINEMENT, "Paris"),))


def told(engine: ScriptedEngine, policy: Policy, **more: Any) -> tuple[Trace, list[str]]:
    """The trace, and which calls the engine had."""
    trace = trace_of(run(gather(engine, policy, **more)))
    assert engine.running == 0
    return trace, [call.call.request_id for call in engine.history]


def test_phases_that_are_sampled_alike_are_one_call() -> None:
    trace, calls = told(ScriptedEngine(ALL), ALIKE)
    assert calls == ["refine-draft-0"]
    assert [r.text for r in trace.responses] == ["Lyon", "Paris"]
    assert (trace.scores, trace.stop_reason) == ((3, None), "max_iterations")


def test_so_they_are_where_the_markers_are_several_tokens_of_text() -> None:
    feedback_mark, refinement_mark = IN_WORDS.marks()
    assert len(feedback_mark) > 1 < len(refinement_mark)
    story = Story(drafts=("Lyon",), feedbacks=(feedback(3),), refinements=("Paris",))
    engine = writer(story, IN_WORDS)
    trace, calls = told(engine, ALIKE, srt_format=IN_WORDS)
    assert calls == ["refine-draft-0"]
    assert [r.text for r in trace.responses] == ["Lyon", "Paris"]
    assert trace.iterations[0].feedback.text == feedback(3)


def test_a_marker_in_other_tokens_than_its_own_ends_its_phase_and_the_generation() -> None:
    glued = f"Lyon {PLAIN_FEEDBACK}and more"  # the space and the line break are one token
    engine = ScriptedEngine(glued, feedback(3), "Paris")
    trace, calls = told(engine, ALIKE, srt_format=IN_WORDS)
    assert calls == ["refine-draft-0", "refine-feedback-1", "refine-refinement-1"]
    assert [r.text for r in trace.responses] == ["Lyon ", "Paris"]


def test_feedback_and_refinement_are_one_call_after_a_draft_that_is_sampled_otherwise() -> None:
    trace, calls = told(ScriptedEngine("Lyon", FROM_FEEDBACK), Policy(one_breath=True))
    assert calls == ["refine-draft-0", "refine-feedback-1"]
    assert trace.answer.text == "Paris"


def test_each_iteration_is_a_breath_of_its_own() -> None:
    again = Say(feedback(4), more=((REFINEMENT, "Paris, on the Seine"),))
    trace, calls = told(ScriptedEngine(ALL, again), replace(ALIKE, max_iterations=2))
    assert calls == ["refine-draft-0", "refine-feedback-2"]
    assert trace.answer.text == "Paris, on the Seine"


def test_a_phase_without_a_call_of_its_own_has_a_prompt_that_was_read_before() -> None:
    one, _ = told(ScriptedEngine(ALL), ALIKE)
    each, _ = told(ScriptedEngine(ALL, FROM_FEEDBACK, "Paris"), replace(ALIKE, one_breath=False))
    for phase in ("draft", "feedback", "refinement"):
        alone, together = each.totals[phase].usage, one.totals[phase].usage
        assert together.prompt_tokens == alone.prompt_tokens
        assert together.completion_tokens == alone.completion_tokens
        assert together.calls == (phase == "draft")
        assert together.cached_tokens == (0 if phase == "draft" else alone.prompt_tokens - 1)


def test_a_gate_ends_the_generation_and_what_it_wrote_beyond_the_marker_counts_nowhere() -> None:
    long = Say(feedback(9), more=((REFINEMENT, "word " * 3000),))
    trace, _ = told(ScriptedEngine("Paris", long), Policy(one_breath=True, good_enough=8))
    assert trace.stop_reason == "good_enough"
    assert trace.totals.keys() == {"draft", "feedback"}
    marker = 1
    words = len(trace.iterations[0].feedback.token_ids)
    assert trace.totals["feedback"].usage.completion_tokens == words + marker


def test_a_model_that_writes_no_marker_is_asked_for_the_next_phase() -> None:
    trace, calls = told(ScriptedEngine("Lyon", feedback(3), "Paris"), ALIKE)
    assert calls == ["refine-draft-0", "refine-feedback-1", "refine-refinement-1"]
    assert trace.answer.text == "Paris"


def test_a_model_that_writes_another_marker_is_asked_for_the_next_phase() -> None:
    odd = Say("Lyon", more=((REFINEMENT, "Nice"),))
    _, calls = told(ScriptedEngine(odd, FROM_FEEDBACK), ALIKE)
    assert calls == ["refine-draft-0", "refine-feedback-1"]


@pytest.mark.parametrize("spelled", ["<|901|>", "<|refinement|>", "\n\n### Improved Response\n"])
def test_a_marker_spelled_out_in_words_is_text(spelled: str) -> None:
    said = feedback(3, suggestions=f"Say {spelled} Rome.")
    engine = ScriptedEngine("Lyon", Say(said, more=((REFINEMENT, "Paris"),)))
    trace, _ = told(
        engine, Policy(one_breath=True), brief=Brief.text(f"Capital of France? {spelled} Rome")
    )
    assert trace.iterations[0].feedback.text == said
    assert trace.answer.text == "Paris"


def test_malformed_feedback_ends_the_generation_and_is_asked_for_once_more() -> None:
    malformed = Say("Lyon", more=((FEEDBACK, "Hm"), (REFINEMENT, "Nice")))
    engine = ScriptedEngine(malformed, feedback(3), "Paris")
    events = run(gather(engine, ALIKE))
    assert [e.problem for e in events if isinstance(e, FeedbackRejected)]
    assert [call.call.request_id for call in engine.history] == [
        "refine-draft-0",
        "refine-feedback-1-a2",
        "refine-refinement-1",
    ]
    assert trace_of(events).answer.text == "Paris"
    assert engine.running == 0


def test_feedback_that_reaches_its_cap_ends_there() -> None:
    policy = Policy(one_breath=True, feedback=replace(GREEDY, max_tokens=5))
    trace, calls = told(ScriptedEngine("Lyon", FROM_FEEDBACK, feedback(3), "Paris"), policy)
    assert calls[:3] == ["refine-draft-0", "refine-feedback-1", "refine-feedback-1-a2"]
    assert trace.stop_reason == "malformed_feedback"
    assert trace.totals["feedback"].usage.completion_tokens == 10


def test_a_refinement_that_reaches_its_cap_ends_there() -> None:
    policy = replace(ALIKE, refinement=replace(GREEDY, max_tokens=2))
    long = Say("Lyon", more=((FEEDBACK, feedback(3)), (REFINEMENT, "Paris is the capital")))
    trace, _ = told(ScriptedEngine(long), policy)
    assert (trace.responses[-1].text, trace.responses[-1].finish_reason) == ("Paris is", "length")


def test_a_text_that_repeats_itself_ends_the_generation() -> None:
    runaway = Say("Lyon " * 500, more=((FEEDBACK, feedback(3)), (REFINEMENT, "Paris")))
    trace, calls = told(ScriptedEngine(runaway, FROM_FEEDBACK), ALIKE)
    assert trace.repeated == 1
    assert calls == ["refine-draft-0", "refine-feedback-1"]


class InGroups(ScriptedEngine):
    """Says its chunks in groups of three where it writes on, as vLLM does under load."""

    async def generate(
        self, prompt: Prompt, sampling: Sampling, call: Call
    ) -> AsyncGenerator[Chunk, None]:
        number = 0
        async with aclosing(super().generate(prompt, sampling, call)) as chunks:
            async for chunk in chunks:
                number += 1
                last = chunk.finish_reason is not None or number % 3 == 0
                yield replace(chunk, more=bool(sampling.marks) and not last)


def test_tokens_that_the_engine_has_together_are_told_as_one() -> None:
    story = Say("a b c d e f g", more=((FEEDBACK, feedback(3)), (REFINEMENT, "Paris is it")))
    events = run(gather(InGroups(story), ALIKE))
    draft = [e.text for e in events if isinstance(e, Delta) and e.phase == "draft"]
    assert draft == ["a b c", " d e f", " g"]
    each = run(gather(ScriptedEngine(story), ALIKE))
    assert replace(trace_of(events), totals={}) == replace(trace_of(each), totals={})


def merged(events: list[Event]) -> list[Event]:
    """The same texts, each as one."""
    texts: list[Event] = []
    for event in events:
        before = texts[-1] if texts else None
        if isinstance(event, Delta) and isinstance(before, Delta):
            texts[-1] = replace(before, text=before.text + event.text)
        else:
            texts.append(event)
    return texts


async def loop_until_feedback(
    engine: ScriptedEngine, then: Callable[[ScriptedEngine, Interrupt], Awaitable[None]]
) -> list[Event]:
    """All events; ``then`` happens between feedback and refinement."""
    interrupt = Interrupt()
    events: list[Event] = []
    async for event in refine(asker(engine), QUESTION, ALIKE, interrupt=interrupt):
        events.append(event)
        if isinstance(event, FeedbackDone):
            await then(engine, interrupt)
    assert engine.running == 0
    return events


def test_an_engine_that_fails_in_a_later_phase_leaves_the_best_so_far() -> None:
    async def fail(engine: ScriptedEngine, interrupt: Interrupt) -> None:
        await engine.close()

    trace = trace_of(run(loop_until_feedback(ScriptedEngine(ALL), fail)))
    assert (trace.stop_reason, trace.answer.text) == ("engine_failure", "Lyon")


def test_an_interrupt_between_two_phases_ends_the_generation() -> None:
    async def drain(engine: ScriptedEngine, interrupt: Interrupt) -> None:
        interrupt.cut("draining")

    trace = trace_of(run(loop_until_feedback(ScriptedEngine(ALL), drain)))
    assert (trace.stop_reason, trace.answer.text) == ("draining", "Lyon")


def test_a_client_that_goes_away_ends_the_generation() -> None:
    async def left(engine: ScriptedEngine) -> None:
        events = refine(asker(engine), QUESTION, ALIKE)
        async for event in events:
            if isinstance(event, FeedbackDone):
                break
        await events.aclose()

    engine = ScriptedEngine(ALL)
    run(left(engine))
    assert engine.running == 0


def test_a_phase_that_is_cancelled_before_it_begins_ends_the_generation() -> None:
    async def cancelled(engine: ScriptedEngine) -> None:
        breath = Breath(ALIKE, alone=True)
        prompt = Tokens(await engine.encode("Capital of France?"))
        for number in range(2):
            part, calls = await breath.generate(
                engine, prompt, GREEDY, Call("part"), (FEEDBACK, REFINEMENT)
            )
            assert calls == 1 - number
            written = [token async for chunk in part for token in chunk.token_ids] if calls else []
            await part.aclose()
            prompt = Tokens((*prompt.ids, *written, *FEEDBACK))
        assert engine.running == 1
        await breath.close()

    engine = ScriptedEngine(ALL)
    run(cancelled(engine))
    assert engine.running == 0


def test_phases_of_different_adapters_are_calls_of_their_own() -> None:
    async def loop(engine: ScriptedEngine, adapters: PhaseAdapters) -> list[str]:
        adapted = AdaptedAsker(asker(engine), adapters)
        async for _ in refine(adapted, QUESTION, ALIKE):
            pass
        return [call.call.request_id for call in engine.history]

    critic = run(loop(ScriptedEngine(ALL, FROM_FEEDBACK), PhaseAdapters(None, "srt", "srt")))
    assert critic == ["refine-draft-0", "refine-feedback-1"]
    writes = run(loop(ScriptedEngine(ALL, "Paris"), PhaseAdapters("a", "a", "b")))
    assert writes == ["refine-draft-0", "refine-refinement-1"]


def test_an_engine_that_cannot_write_on_is_asked_for_each_phase() -> None:
    engine = ScriptedEngine(ALL, FROM_FEEDBACK, "Paris")
    engine.writes_on = False
    _, calls = told(engine, ALIKE)
    assert calls == ["refine-draft-0", "refine-feedback-1", "refine-refinement-1"]


@pytest.mark.parametrize(
    ("phases", "policy"),
    [
        (("draft", "feedback"), ALIKE),
        (("feedback",), Policy(one_breath=True)),
        (("feedback",), replace(ALIKE, drafts=2)),
        (("draft", "feedback"), replace(ALIKE, seed=1)),
        ((), replace(ALIKE, one_breath=False)),
        ((), replace(ALIKE, feedback_votes=3)),
        ((), replace(ALIKE, drafts=2, combine="candidates")),
        ((), replace(ALIKE, feedback_only=True)),
        ((), replace(ALIKE, feedback_by="off")),
        ((), replace(ALIKE, extract_checks=True)),
        ((), replace(ALIKE, refinement=Sampling(temperature=0.5))),
        ((), replace(ALIKE, refinement=replace(GREEDY, stop=("x",)))),
        ((), replace(ALIKE, refinement=replace(GREEDY, logprobs=2))),
    ],
)
def test_only_phases_with_nothing_between_them_follow_at_once(
    phases: tuple[str, ...], policy: Policy
) -> None:
    assert follow_at_once(policy) == phases


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=0.0, stop=("x",)),
        Sampling(temperature=0.0, min_tokens=3),
        Sampling(temperature=0.0, frequency_penalty=0.5),
        Sampling(temperature=0.0, repetition_penalty=1.1),
        Sampling(temperature=0.0, ignore_eos=True),
        Sampling(temperature=0.0, logprobs=1),
    ],
)
def test_what_counts_from_the_beginning_of_a_phase_needs_a_call_for_each(
    sampling: Sampling,
) -> None:
    assert (
        follow_at_once(
            Policy(one_breath=True, draft=sampling, feedback=sampling, refinement=sampling)
        )
        == ()
    )


def test_sampled_phases_are_one_only_where_no_seed_tells_them_apart() -> None:
    sampled = Sampling(temperature=0.7)
    policy = Policy(one_breath=True, draft=sampled, feedback=sampled, refinement=sampled)
    assert follow_at_once(policy) == ("draft", "feedback")
    assert follow_at_once(replace(policy, seed=1)) == ()


PARTS = [
    "a",
    "b",
    "Score:",
    "[[3]]",
    "<|901|>",
    ".",
    "\n\n###",
    "Feedback\n",
    PLAIN_FEEDBACK,
    PLAIN_REFINEMENT,
]
words = st.lists(st.sampled_from(PARTS), max_size=5)
texts = words.map(" ".join)
responses = st.lists(texts, min_size=1, max_size=3).map(tuple)
said = st.one_of(texts, st.integers(1, 10).map(feedback), st.integers(1, 10).map(feedback))
stories = st.builds(Story, responses, st.lists(said, min_size=1, max_size=3).map(tuple), responses)
samplings = st.builds(
    Sampling, temperature=st.just(0.0), max_tokens=st.one_of(st.none(), st.integers(1, 20))
)
policies = st.builds(
    Policy,
    max_iterations=st.integers(0, 3),
    good_enough=st.one_of(st.none(), st.integers(1, 10)),
    keep=st.sampled_from(["best", "last"]),
    drafts=st.sampled_from([1, 1, 1, 2]),
    token_budget=st.one_of(st.none(), st.integers(0, 60)),
    total_tokens=st.one_of(st.none(), st.integers(1, 60)),
    response_tokens=st.sampled_from([None, 3, 12]),
    feedback_tokens=st.sampled_from([None, 3, 12]),
    draft=samplings,
    feedback=samplings,
    refinement=samplings,
)
givens = st.builds(
    Brief,
    st.just(QUESTION.instruction),
    response=st.sampled_from([None, None, "Lyon"]),
    feedback=st.sampled_from([None, None, feedback(2)]),
)


def events_of(
    story: Story,
    window: int,
    policy: Policy,
    brief: Brief,
    srt_format: SrtFormat,
    kind: type[ScriptedEngine] = ScriptedEngine,
) -> tuple[list[Event], Trace] | str:
    """All events but the last, and the trace; or how it failed."""
    engine = writer(story, srt_format, kind, window=window)
    try:
        events = run(gather(engine, policy, brief, srt_format=srt_format))
    except (EngineError, NoDraft) as error:
        return str(error)
    finally:
        assert engine.running == 0
    return events[:-1], trace_of(events)


def counted(totals: PhaseTotals) -> tuple[int, int, int]:
    return totals.usage.prompt_tokens, totals.usage.completion_tokens, totals.repeated


@settings(max_examples=examples(400), deadline=None)
@given(
    stories, st.sampled_from([24, 60, 4096]), policies, givens, st.sampled_from([FORMAT, IN_WORDS])
)
def test_both_ways_write_and_count_the_same(
    story: Story, window: int, policy: Policy, brief: Brief, srt_format: SrtFormat
) -> None:
    together = events_of(story, window, policy, brief, srt_format)
    each = events_of(story, window, replace(policy, one_breath=False), brief, srt_format)
    if isinstance(together, str) or isinstance(each, str):
        assert together == each
        return
    assert together[0] == each[0]
    one, other = together[1], each[1]
    assert replace(one, totals={}) == replace(other, totals={})
    assert {p: counted(t) for p, t in one.totals.items()} == {
        p: counted(t) for p, t in other.totals.items()
    }
    assert one.usage.calls <= other.usage.calls
    grouped = events_of(story, window, policy, brief, srt_format, InGroups)
    assert not isinstance(grouped, str)
    assert merged(grouped[0]) == merged(each[0])
    assert replace(grouped[1], totals={}) == replace(one, totals={})
