"""Predictions on vLLM: whatever is predicted, the text is the one without, greedy or with a seed,
and a right prediction is worth its guesses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from redraft.server.engine.base import Chat, Completion, Constraint, Message, Sampling, Tokens
from tests.support import speculating
from tests.support.speculating import Pair, answers, counted, format_of, pair_of

pytestmark = pytest.mark.vllm

PHASE_TOKENS = speculating.PHASE_TOKENS
MANY = 6
GREEDY = replace(speculating.GREEDY, max_tokens=PHASE_TOKENS + 1)
SEEDED = replace(GREEDY, temperature=1.0, seed=5)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its texts choose one word in five among eight, nearly evenly: nothing but the last word and
    the draw matter, on any processor."""
    return speculating.phased(tmp_path_factory.mktemp("phased"))


@pytest.fixture(scope="module")
def pair(model: Path) -> Iterator[Pair]:
    with pair_of(model, max_model_len=192) as both:
        yield both


@pytest.fixture(scope="module")
def chats(pair: Pair) -> list[Chat]:
    return [Chat((Message("user", f"water word {number} the"),)) for number in range(MANY)]


def told(completions: Sequence[Completion]) -> list[tuple[object, ...]]:
    """All but what was found in the cache, and the digits in which logits may differ."""
    return [
        (one.text, one.token_ids, one.finish_reason, one.usage.completion_tokens)
        for one in completions
    ]


@dataclass(frozen=True)
class Guesses:
    made: float
    right: float


def guessed(
    pair: Pair,
    asked: Sequence[tuple[Chat | Tokens, Sampling]],
    predictions: Sequence[tuple[int, ...]],
) -> tuple[list[Completion], Guesses]:
    before = counted(pair.speculating)
    completions = answers(pair.speculating, asked, predictions)
    made, right = (now - then for now, then in zip(counted(pair.speculating), before, strict=True))
    return completions, Guesses(made, right)


@pytest.mark.parametrize(
    "sampling",
    [
        GREEDY,
        SEEDED,
        replace(SEEDED, temperature=0.4, top_p=0.9),
        replace(SEEDED, temperature=1.5, top_k=3),
        replace(SEEDED, presence_penalty=0.5, frequency_penalty=0.3),
        replace(SEEDED, repetition_penalty=1.2),
        replace(SEEDED, min_tokens=PHASE_TOKENS + 10, max_tokens=PHASE_TOKENS + 20),
        replace(SEEDED, ignore_eos=True, max_tokens=None),  # to the end of the window
        replace(SEEDED, constraint=Constraint("regex", "[a-z0-9 ]{5,70}")),
        replace(GREEDY, constraint=Constraint("regex", "[a-z0-9 ]{5,70}")),
        replace(GREEDY, stop=("a30a",)),
        replace(SEEDED, logprobs=2),
        replace(GREEDY, logprobs=0),
    ],
)
@pytest.mark.parametrize("seed", [5, 6])
def test_a_predicted_text_is_the_same(
    pair: Pair, chats: list[Chat], sampling: Sampling, seed: int
) -> None:
    sampling = sampling if sampling.seed is None else replace(sampling, seed=seed)
    asked = [(chat, sampling) for chat in chats]
    plain = answers(pair.plain, asked)
    right = [one.token_ids for one in plain]
    completions, guesses = guessed(pair, asked, right)
    assert told(completions) == told(plain)
    assert guesses.right > sum(map(len, right)) / 3
    for one, other in zip(completions, plain, strict=True):
        assert [entry["logprob"] for entry in one.logprobs] == pytest.approx(
            [entry["logprob"] for entry in other.logprobs], abs=1e-3
        )


def test_a_batch_of_right_wrong_and_no_predictions_is_the_same(
    pair: Pair, chats: list[Chat]
) -> None:
    """Beside each other, greedy and seeded, as a server runs them."""
    asked = [(chat, replace(SEEDED, seed=n)) for n, chat in enumerate(chats)]
    asked += [(chat, GREEDY) for chat in chats]
    asked += [(chats[0], replace(GREEDY, temperature=1.0))]  # anything, without a seed
    plain = answers(pair.plain, asked)
    right = [one.token_ids for one in plain]
    predictions = [ids if n % 3 else () for n, ids in enumerate(right[1:] + right[:1])]
    predictions[2] = right[2]
    completions, guesses = guessed(pair, asked, predictions)
    assert told(completions)[:-1] == told(plain)[:-1]
    assert guesses.right


def test_every_word_may_be_another(pair: Pair, chats: list[Chat]) -> None:
    """Where a guess fails the text goes on as without it, and so do the draws of its seed."""
    asked = [(chat, replace(SEEDED, seed=n)) for n, chat in enumerate(chats)]
    plain = answers(pair.plain, asked)
    for every in (2, 3, 7):
        predictions = [
            tuple(3 if place % every == 0 else token for place, token in enumerate(one.token_ids))
            for one in plain
        ]
        completions, _ = guessed(pair, asked, predictions)
        assert told(completions) == told(plain)


def test_a_wrong_prediction_costs_next_to_no_guesses(pair: Pair, chats: list[Chat]) -> None:
    asked = [(chat, SEEDED) for chat in chats]
    strange = pair.plain.run(pair.plain.engine.encode("water word the three time together " * 8))
    completions, guesses = guessed(pair, asked, [strange] * MANY)
    assert told(completions) == told(answers(pair.plain, asked))
    assert guesses.made <= MANY


def test_a_prediction_longer_than_the_window_is_used_as_far_as_it_may_be(
    pair: Pair, chats: list[Chat]
) -> None:
    asked = [(chats[0], SEEDED)]
    plain = answers(pair.plain, asked)
    completions, guesses = guessed(pair, asked, [plain[0].token_ids + (3,) * 100_000])
    assert told(completions) == told(plain)
    assert guesses.right > PHASE_TOKENS / 2


def test_a_refinement_is_guessed_from_its_draft_and_as_it_is_without_guesses(
    pair: Pair, chats: list[Chat], model: Path
) -> None:
    known = format_of(model)
    engine = pair.plain.engine
    said = pair.plain.run(engine.encode("Weaknesses: f1a f2b Suggestions: f3a"))
    drafts = answers(pair.plain, [(chat, SEEDED) for chat in chats])
    asked = []
    for number, (chat, draft) in enumerate(zip(chats, drafts, strict=True)):
        ids = pair.plain.run(engine.encode_chat(chat.messages))
        prompt = Tokens(known.refinement_prompt(ids, draft.token_ids, said))
        asked.append((prompt, replace(SEEDED, seed=number, top_p=0.95)))
    completions, guesses = guessed(pair, asked, [draft.token_ids for draft in drafts])
    assert told(completions) == told(answers(pair.plain, asked))
    assert guesses.right > MANY * PHASE_TOKENS / 4
