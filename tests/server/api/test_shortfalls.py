"""What a token limit cost an answer is said where clients look."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.support.asgi import post
from tests.support.loops import feedback

CHAT = "/v1/chat/completions"
MESSAGES = [{"role": "user", "content": "Capital of France?"}]
LONG = "It is Paris which lies on the Seine and is its capital"  # 12 tokens
LOOP = ("It is Lyon.", feedback(3), LONG)
CUT = "the refinement was cut at max_tokens 5, so the answer is the draft"


def chat(*script: Any, **body: Any) -> httpx.Response:
    answer = post(CHAT, {"messages": MESSAGES, **body}, *script)
    assert answer.status_code == 200, answer.text
    return answer


def warning(answer: httpx.Response) -> str | None:
    header: str | None = answer.headers.get("redraft-warning")
    return header


def test_a_refinement_that_had_no_room_is_told_before_the_reasoning() -> None:
    answer = chat(*LOOP, max_tokens=5)
    message = answer.json()["choices"][0]["message"]
    assert message["content"] == "It is Lyon."
    assert warning(answer) == CUT
    assert message["reasoning"].splitlines()[0] == f"Note: {CUT}."


def test_an_answer_that_was_cut_ends_with_length() -> None:
    answer = chat(LONG, feedback(3), LONG, max_tokens=5)
    assert answer.json()["choices"][0]["finish_reason"] == "length"
    assert warning(answer) == "the answer was cut at max_tokens 5"


def test_a_cut_draft_that_was_refined_in_full_is_no_shortfall() -> None:
    answer = chat(LONG, feedback(3), "Paris", max_tokens=5)
    assert answer.json()["choices"][0]["finish_reason"] == "stop"
    assert warning(answer) is None


def test_max_tokens_does_not_cut_the_feedback() -> None:
    answer = chat("Lyon.", feedback(3, "It is wrong " * 20), "Paris.", max_tokens=5)
    assert answer.json()["choices"][0]["message"]["content"] == "Paris."


def test_a_total_that_leaves_no_room_is_named() -> None:
    answer = chat(*LOOP, max_completion_tokens=4)
    assert answer.json()["refine"]["stop_reason"] == "token_budget"
    assert warning(answer) == "max_completion_tokens left no room to refine the answer"


def test_a_budget_for_refining_is_the_callers_own_and_no_shortfall() -> None:
    answer = chat(*LOOP, refine={"token_budget": 0})
    assert answer.json()["refine"]["stop_reason"] == "token_budget"
    assert warning(answer) is None


def test_repetition_is_the_reason_where_it_is() -> None:
    answer = chat("It is Lyon.", feedback(3), "and again " * 100)
    assert warning(answer) == (
        "the refinement repeated itself and was ended, so the answer is the draft"
    )


def test_the_servers_own_limit_is_the_reason_where_it_is() -> None:
    words = " ".join(f"word{n}" for n in range(1200))
    answer = chat(words, feedback(3), words + " more")
    assert warning(answer) == "the answer was cut at this server's default of 1024 tokens"


def test_without_refinement_nothing_is_added() -> None:
    answer = chat(LONG, model="scripted:direct", max_tokens=5)
    assert answer.json()["choices"][0]["finish_reason"] == "length"
    assert warning(answer) is None


@pytest.mark.parametrize("path", ["/v1/refine", "/v1/completions"])
def test_the_other_routes_warn_too(path: str) -> None:
    body = {"prompt": "Capital of France?", "max_tokens": 5}
    body |= {"refine": {}} if path.endswith("completions") else {}
    assert warning(post(path, body, *LOOP)) == CUT


def streamed(*script: Any, **body: Any) -> tuple[str, str, str | None]:
    """Reasoning, content and the finish reason of a stream."""
    answer = chat(*script, stream=True, **body)
    lines = [line[6:] for line in answer.text.splitlines() if line.startswith("data: {")]
    choices = [choice for line in lines for choice in json.loads(line)["choices"]]
    deltas = [choice["delta"] for choice in choices]
    reasoning = "".join(delta.get("reasoning", "") for delta in deltas)
    content = "".join(delta.get("content", "") for delta in deltas)
    return reasoning, content, choices[-1]["finish_reason"]


def test_a_stream_says_it_before_an_answer_that_was_held_back() -> None:
    loop = (LOOP[0], feedback(3), "and again " * 100)
    reasoning, content, _ = streamed(*loop, refine={"keep": "best"}, max_tokens=5)
    assert content == "It is Lyon."
    assert reasoning.splitlines()[-1] == f"Note: {CUT}."


def test_a_stream_whose_answer_is_cut_while_it_is_written_ends_with_length() -> None:
    _, content, finish_reason = streamed(*LOOP, max_tokens=5)
    assert content == "It is Paris which lies"
    assert finish_reason == "length"
