"""Predictions for a model that thinks and calls tools, whose chats go through vLLM's own layer:
what is predicted is found after its thoughts, and changes nothing.
Spans: server/engine/vllm_engine"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from redraft.server.engine.base import Chat, ChatOptions, Constraint, Message, Sampling
from tests.support import thinker
from tests.support.speculating import NAME, answers, counted
from tests.support.tiny_engine import Running, running_engine

pytestmark = pytest.mark.vllm

GREEDY = Sampling(temperature=0.0, max_tokens=100)
SEEDED = replace(GREEDY, temperature=1.5, seed=4)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Running]]:
    model = thinker.build(tmp_path_factory.mktemp("thinker"))
    with (
        started(model) as plain,
        started(model, served_name=NAME, speculates=True) as guessing,
    ):
        yield plain, guessing


@contextmanager
def started(model: Path, **changes: Any) -> Iterator[Running]:
    with running_engine(model, dtype="float32", **changes) as running:
        yield running


@pytest.mark.parametrize("prediction", [thinker.DRAFT, thinker.CALLED, "No idea " * 20])
@pytest.mark.parametrize("sampling", [GREEDY, SEEDED], ids=["greedy", "seeded"])
@pytest.mark.parametrize(
    "options",
    [
        ChatOptions(),
        ChatOptions(think=False),
        ChatOptions(think_tokens=3),
        ChatOptions(tools=(thinker.TOOL,)),
        ChatOptions(tools=(thinker.TOOL,), tool_choice="required"),
    ],
    ids=["thinks", "does-not-think", "budget", "tools", "must-call"],
)
def test_thoughts_text_and_calls_are_the_same(
    both: tuple[Running, Running], options: ChatOptions, sampling: Sampling, prediction: str
) -> None:
    plain, guessing = both
    asked = [
        (Chat((Message("user", words),), options), sampling)
        for words in (thinker.SUM, thinker.WEATHER)
    ]
    expected = plain.run(plain.engine.encode(prediction))
    told = [
        [(one.thought, one.text, calls(one.tool_calls), one.finish_reason) for one in completions]
        for completions in (answers(plain, asked), answers(guessing, asked, [expected] * 2))
    ]
    assert told[0] == told[1]


def test_budgets_hold_beside_guesses(both: tuple[Running, Running]) -> None:
    plain, guessing = both
    options = [ChatOptions(think_tokens=most) for most in (None, 2, 3, 4, 5)]
    chats = [Chat((Message("user", thinker.SUM),), each) for each in options]
    asked = [(chat, sampling) for sampling in (GREEDY, SEEDED) for chat in chats]
    expected = plain.run(plain.engine.encode(f"{thinker.THOUGHT} {thinker.DRAFT}"))
    without, with_one = answers(plain, asked), answers(guessing, asked, [expected] * len(asked))
    assert [(one.thought, one.text) for one in with_one] == [
        (one.thought, one.text) for one in without
    ]


def calls(tool_calls: Any) -> list[Any]:
    return [call["function"] for call in tool_calls]


def test_the_text_is_guessed_after_the_thoughts(both: tuple[Running, Running]) -> None:
    _, guessing = both
    asked = (Chat((Message("user", thinker.SUM),)), GREEDY)
    expected = guessing.run(guessing.engine.encode(thinker.DRAFT))
    before = counted(guessing)[1]
    (answer,) = answers(guessing, [asked], [expected])
    assert (answer.thought.strip(), answer.text.strip()) == (thinker.THOUGHT, thinker.DRAFT)
    assert counted(guessing)[1] > before


def test_a_form_holds_for_a_predicted_text(both: tuple[Running, Running]) -> None:
    plain, guessing = both
    constraint = Constraint("choice", '["It is 4.", "It is 5."]')
    asked = [(Chat((Message("user", thinker.SUM),)), replace(GREEDY, constraint=constraint))]
    expected = plain.run(plain.engine.encode("It is 6."))
    without, with_one = answers(plain, asked), answers(guessing, asked, [expected])
    assert with_one[0].text == without[0].text
