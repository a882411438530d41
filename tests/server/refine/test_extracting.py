"""Reading the checks out of what a model wrote about an instruction."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redraft.server.engine.base import Call
from redraft.server.engine.scripted_engine import ScriptedEngine
from redraft.server.refine.checks import KINDS, Check, read_check
from redraft.server.refine.checks.schema import checks_schema, extraction_schema
from redraft.server.refine.extracting import read
from redraft.server.refine.interrupt import Interrupt
from redraft.server.refine.loop import NoDraft
from redraft.server.refine.policy import Policy
from tests.support.loops import answer_to, feedback, gather, run, trace_of

QUOTED = Check("quoted", {})
WORDS = Check("words", {"at_least": 3})


@pytest.mark.parametrize(
    ("written", "checks"),
    [
        ('{"checks": []}', ()),
        ('{"checks": [{"kind": "quoted"}]}', (QUOTED,)),
        ('{"checks": [{"kind": "quoted"}, {"kind": "quoted"}]}', (QUOTED,)),
        ('{"checks": [{"kind": "quoted"}, {"kind": "words", "at_le', (QUOTED,)),
        ('{"checks": [{"kind": "sung"}, {"kind": "words", "at_least": 3}]}', (WORDS,)),
        ('Sure:\n```json\n{"checks": [{"kind": "words", "at_least": 3}]}\n```', (WORDS,)),
        ('{"checks": [{"kind": "starts", "text": "a\tb"}]}', (Check("starts", {"text": "a\tb"}),)),
        ("There are none.", ()),
        ("", ()),
        ("[" * 100_000, ()),
        ('[{"a":' * 100_000, ()),
    ],
)
def test_valid_checks_are_read_also_from_a_text_cut_short(
    written: str, checks: tuple[Check, ...]
) -> None:
    assert read(written) == checks


@given(st.text() | st.text(alphabet='[]{}",:kindwords at_least 3\\', max_size=80))
def test_whatever_is_written_reading_it_does_not_raise(written: str) -> None:
    assert isinstance(read(f'{{"checks": [{written}'), tuple)


def test_every_form_of_the_schema_is_a_check() -> None:
    forms = extraction_schema()["properties"]["checks"]["items"]["anyOf"]
    kinds = {form["properties"]["kind"]["const"] for form in forms}
    assert kinds <= KINDS.keys()
    for form in forms:
        name = form["properties"]["kind"]["const"]
        content = {"kind": name}
        for argument, schema in form["properties"].items():
            if argument != "kind":
                content[argument] = KINDS[name].example.get(argument, _some(schema))
        assert read_check(content).kind == name


def _some(schema: dict[str, object]) -> object:
    return 3 if schema.get("type") == "integer" else "three"


def test_the_schemas_are_json() -> None:
    assert json.loads(json.dumps(checks_schema())) == checks_schema()


def test_the_model_is_asked_before_it_drafts_and_its_tokens_count() -> None:
    engine = ScriptedEngine('{"checks": [{"kind": "words", "at_least": 3}]}', "One two three")
    policy = Policy(extract_checks=True, feedback_by="checks", keep="best", token_budget=100)
    trace = trace_of(run(gather(engine, policy)))
    assert "Capital of France?" in engine.history[0].text
    assert engine.history[0].sampling.constraint is not None
    assert trace.answer.findings[0].check == WORDS
    assert trace.stop_reason == "checks_passed"
    assert trace.totals["feedback"].usage.completion_tokens > 0


def test_a_window_too_short_for_the_kinds_leaves_the_feedback_to_the_model() -> None:
    engine = ScriptedEngine("Rome", feedback(3), "Paris", window=400)
    policy = Policy(extract_checks=True, feedback_by="checks")
    trace = trace_of(run(gather(engine, policy)))
    assert (trace.answer.text, trace.scores[0]) == ("Paris", 3)
    assert trace.verified


def test_a_budget_spent_on_reading_leaves_the_draft() -> None:
    policy = {"extract_checks": True, "feedback_by": "checks", "token_budget": 1}
    trace = answer_to('{"checks": [{"kind": "quoted"}]}', "Paris", feedback(3), **policy)
    assert (trace.answer.text, trace.stop_reason) == ("Paris", "token_budget")


def test_without_a_budget_for_reading_there_is_the_draft_alone() -> None:
    trace = answer_to("Paris", extract_checks=True, feedback_by="checks", token_budget=0)
    assert (trace.answer.text, trace.stop_reason) == ("Paris", "token_budget")


def test_what_is_read_is_never_the_draft() -> None:
    policy = {"extract_checks": True, "feedback_by": "checks", "total_tokens": 1}
    with pytest.raises(NoDraft) as failure:
        answer_to('{"checks": []}', "Paris", **policy)
    assert failure.value.reason == "token_budget"


def test_a_reader_who_leaves_while_the_checks_are_read_stops_the_engine() -> None:
    async def scenario() -> int:
        reached = asyncio.Event()

        async def gate(call: Call, position: int) -> None:
            reached.set()
            await asyncio.Event().wait()

        engine = ScriptedEngine('{"checks": []}', gate=gate)
        reader = asyncio.create_task(gather(engine, Policy(extract_checks=True)))
        await reached.wait()
        assert engine.running == 1
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)
        return engine.running

    assert run(scenario()) == 0


def test_an_interrupt_while_the_checks_are_read_is_no_draft() -> None:
    async def scenario() -> None:
        interrupt = Interrupt()

        async def gate(call: Call, position: int) -> None:
            if position == 1:  # when some of it is written
                interrupt.cut("draining")

        engine = ScriptedEngine('{"checks": []}', "Paris", gate=gate)
        await gather(engine, Policy(extract_checks=True), interrupt=interrupt)

    with pytest.raises(NoDraft) as failure:
        run(scenario())
    assert failure.value.reason == "draining"


def test_a_number_that_json_does_not_have_ends_what_is_read() -> None:
    written = '{"checks": [{"kind": "json"}, {"kind": "equals", "value": 1, "tolerance": NaN}]}'
    assert [check.kind for check in read(written)] == ["json"]
