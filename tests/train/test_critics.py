"""Critics: their answers are read however they are headed; scores are given apart."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from redraft.server.engine.base import Chat, Message, Tokens
from redraft.server.engine.scripted_engine import ScriptedEngine
from redraft.server.refine.requests import asking_for_feedback
from redraft.train.critics import (
    TABLE_1,
    ExactCritic,
    PromptedCritic,
    SrtCritic,
    independent,
    split,
    weighted_kappa,
)
from redraft.train.data.ledger import Ledger
from redraft.train.data.records import Example
from redraft.train.engines import EngineSpec
from redraft.train.paid_engine import Budget, CostReached, PaidEngine, Refused, Spent
from redraft.train.workbench.tasks import answer, sample
from tests.support.loops import FORMAT

EXAMPLE = Example((Message("user", "Name a river."),))
FEEDBACK = "Weaknesses: It is a lake.\nSuggestions: Say Elbe.\nOverall Score: [[3]]"


@pytest.mark.parametrize(
    "said",
    [
        f"{FEEDBACK}\n### Improved Response\nThe Elbe.",
        f"{FEEDBACK}\n\n**Improved Response:**\nThe Elbe.\n",
        "1. Weaknesses: It is a lake.\n2. Suggestions: Say Elbe.\n3. Overall Score: [[3]]\n"
        "\n### Improved Response:\n\nThe Elbe.",
        "### Weaknesses\nIt is a lake.\n### Suggestions\nSay Elbe.\n### Overall Score: 3/10\n"
        "### Improved Response\nThe Elbe.",
    ],
)
def test_one_completion_is_split_into_feedback_and_refinement(said: str) -> None:
    assert split(said) == (FEEDBACK, "The Elbe.")


def test_what_cannot_be_read_is_kept_as_it_is_for_the_filter_to_count() -> None:
    assert split("I cannot judge that.") == ("I cannot judge that.", "")
    assert split("Overall Score: [[3]]\n### Improved Response\nElbe") == (
        "Overall Score: [[3]]",
        "Elbe",
    )


def test_the_request_is_the_papers_with_all_four_steps() -> None:
    asked = asking_for_feedback(TABLE_1, "I", "R")
    assert re.match(r"### Instruction\n\[begin (\w+)]\nI\n\[end \1]\n\n### Response\n", asked)
    steps = ("1. Weak", "2. Sugg", "3. Overall Score", "[[n]]", "4. Improved Response", "### Feedb")
    places = [asked.index(step) for step in steps]
    assert places == sorted(places)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    yield ledger
    asyncio.run(ledger.close())


def paid(engine: ScriptedEngine, ledger: Ledger, budget: Budget | None = None) -> PaidEngine:
    source = EngineSpec(completion_price=1_000_000)  # one a token
    return PaidEngine(engine, ledger, "scripted", source, budget or Budget(None), Spent())


def test_scores_are_asked_for_in_calls_that_show_neither_feedback_nor_the_other(
    ledger: Ledger,
) -> None:
    engine = ScriptedEngine(reply=lambda prompt, _: FEEDBACK)

    async def run() -> list[int | None]:
        critic = PromptedCritic(paid(engine, ledger))
        taught = await critic.teach(EXAMPLE, "Como.")
        assert taught.feedback == FEEDBACK
        return await independent(critic, EXAMPLE, ["Como.", "Elbe."])

    assert asyncio.run(run()) == [3, 3]
    teach, first, second = (asked.prompt for asked in engine.history)
    assert isinstance(teach, Chat)
    for prompt, shown, hidden in ((first, "Como.", "Elbe."), (second, "Elbe.", "Como.")):
        assert isinstance(prompt, Chat)
        (message,) = prompt.messages
        assert shown in message.content
        assert hidden not in message.content
        assert "It is a lake" not in message.content


def test_the_same_text_is_scored_once(ledger: Ledger) -> None:
    engine = ScriptedEngine(FEEDBACK)

    async def run() -> list[int | None]:
        critic = PromptedCritic(paid(engine, ledger))
        return await independent(critic, EXAMPLE, ["Elbe", "Elbe "])

    assert asyncio.run(run()) == [3, 3]
    assert len(engine.history) == 1


def test_a_call_that_could_break_the_cost_cap_is_not_made(ledger: Ledger) -> None:
    engine = ScriptedEngine(reply=lambda prompt, _: FEEDBACK)

    async def run() -> None:
        critic = PromptedCritic(paid(engine, ledger, Budget(max_cost=2048 + 20)))
        await critic.score(EXAMPLE, "Como.")  # at most 2048 tokens, in fact about 10
        await critic.score(EXAMPLE, "Elbe.")
        with pytest.raises(CostReached, match="over --max-cost 2068"):
            await critic.score(EXAMPLE, "Oder.")

    asyncio.run(run())
    assert len(engine.history) == 2


def test_the_exact_critic_scores_right_answers_ten_and_refines_wrong_ones_right() -> None:
    critic = ExactCritic()

    async def run() -> None:
        for task in sample("dev", None, 30, seed=3):
            example = Example((Message("user", task.instruction),))
            assert await critic.score(example, answer(task)) == 10
            taught = await critic.teach(example, "No idea.")
            wrong = await critic.score(example, "No idea.")
            assert wrong is not None
            assert wrong < 10
            assert await critic.score(example, taught.refinement) == 10

    asyncio.run(run())


def test_the_exact_critic_refuses_what_it_does_not_know() -> None:
    with pytest.raises(Refused, match="not an instruction of the workbench"):
        asyncio.run(ExactCritic().teach(EXAMPLE, "Elbe."))


@pytest.mark.parametrize(
    ("first", "second", "kappa"),
    [
        ([1, 5, 10, 3], [1, 5, 10, 3], 1.0),
        ([1, 10], [10, 1], -1.0),
        ([1, 1, 10, 10], [1, 10, 1, 10], 0.0),
        ([4, 4], [4, 4], None),
        ([], [], None),
    ],
)
def test_weighted_kappa(first: list[int], second: list[int], kappa: float | None) -> None:
    assert weighted_kappa(first, second) == kappa


def test_a_model_is_its_own_critic_by_continuing_its_tokens(ledger: Ledger) -> None:
    engine = ScriptedEngine(FEEDBACK, "The Elbe.")

    async def run() -> None:
        critic = SrtCritic(paid(engine, ledger), FORMAT)
        taught = await critic.teach(EXAMPLE, "Como.")
        assert (taught.feedback, taught.refinement) == (FEEDBACK, "The Elbe.")
        # Its feedback on the draft was given in sight of nothing else: that is the draft's score.
        assert await critic.score(EXAMPLE, "Como.") == 3

    asyncio.run(run())
    assert len(engine.history) == 2
    assert all(isinstance(asked.prompt, Tokens) for asked in engine.history)


def test_the_same_question_asked_twice_at_once_is_paid_once(ledger: Ledger) -> None:
    engine = ScriptedEngine(FEEDBACK)

    async def run() -> None:
        critic = PromptedCritic(paid(engine, ledger))
        scores = await asyncio.gather(*(critic.score(EXAMPLE, "Como.") for _ in range(5)))
        assert scores == [3] * 5

    asyncio.run(run())
    assert len(engine.history) == 1
    assert len(ledger.entries) == 1
