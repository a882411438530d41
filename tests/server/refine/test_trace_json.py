"""The JSON form of a trace, written and read."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from redraft.server.engine.base import Message, Usage
from redraft.server.refine.trace import (
    Candidate,
    Feedback,
    Instruction,
    Iteration,
    PhaseTotals,
    ResponseText,
    Trace,
)
from redraft.server.refine.trace_json import read_trace, record_json, trace_json

VOTES = (Feedback("Hm.", (9,)), Feedback("A lake.", (5,), score=3))
TRACE = Trace(
    Instruction((Message("system", "Be brief."), Message("user", "A river?", "ann"))),
    drafts=(
        Candidate(ResponseText("Como.", (1, 2), tokens=3), Feedback("Poor.", (3,), score=2)),
        Candidate(ResponseText("Garda.", (4,), finish_reason="length", tokens=2)),
    ),
    picked=1,
    iterations=(
        Iteration(
            Feedback("A lake.", (5,), score=3, weaknesses="w", suggestions="s", votes=VOTES),
            ResponseText("The Elbe.", (6, 7), tokens=3),
        ),
        Iteration(Feedback("Good.", (8,), score=9)),
    ),
    kept=1,
    stop_reason="good_enough",
    malformed=1,
)


def test_a_record_with_token_ids_comes_back_as_it_was() -> None:
    row = json.loads(json.dumps(record_json(TRACE, token_ids=True)))
    assert read_trace(row) == TRACE


def test_token_ids_are_written_only_on_request() -> None:
    assert "token_ids" not in json.dumps(record_json(TRACE))
    assert "token_ids" not in json.dumps(trace_json(TRACE))


def test_what_it_cost_is_written_and_not_read() -> None:
    trace = replace(TRACE, totals={"draft": PhaseTotals(Usage(10, 3, 8, 1), 0.25)})
    row = record_json(trace, token_ids=True)
    assert row["usage"]["draft"]["completion_tokens"] == 3
    assert read_trace(row) == TRACE


def test_records_written_before_there_were_token_counts_are_still_read() -> None:
    response = {"text": "Como.", "finish_reason": "stop", "token_ids": [1]}
    feedback = {"text": "A lake.", "score": 3, "weaknesses": "", "suggestions": "", "token_ids": []}
    row = {
        "instruction": [{"role": "user", "content": "A river?"}],
        "drafts": [response],
        "picked": 0,
        "iterations": [{"feedback": feedback, "refinement": None}],
        "kept": 0,
        "stop_reason": "good_enough",
    }
    trace = read_trace(row)
    assert (trace.answer.text, trace.answer.token_ids, trace.scores) == ("Como.", (1,), (3,))


@pytest.mark.parametrize("row", [{}, {"messages": "A river?"}, {"messages": [{"role": "user"}]}])
def test_a_row_that_is_no_trace_is_an_error(row: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError)):
        read_trace(row)
