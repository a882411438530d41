"""Speculating from the draft on vLLM: the same text as without, whoever else is in the batch, and
sampled from the same distribution."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from redraft.benchmarks import phased_model
from redraft.server.engine.base import (
    Completion,
    Constraint,
    EngineRefused,
    Message,
    Sampling,
    Tokens,
)
from tests.support import speculating
from tests.support.speculating import Pair, answers, counted, format_of, most_chi_square, pair_of

pytestmark = pytest.mark.vllm

PHASE_TOKENS = speculating.PHASE_TOKENS
WINDOW = 192
GREEDY = replace(speculating.GREEDY, max_tokens=PHASE_TOKENS + 1)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its refinements keep four words in five of the draft, at which nothing but the last word
    matters: on any processor the right words are beyond doubt."""
    return speculating.phased(tmp_path_factory.mktemp("phased"))


@pytest.fixture(scope="module")
def pair(model: Path) -> Iterator[Pair]:
    with pair_of(model, max_model_len=WINDOW) as both:
        yield both


@dataclass(frozen=True)
class Prompts:
    drafts: list[Tokens]
    feedback: list[Tokens]
    refinements: list[Tokens]
    expected: list[tuple[int, ...]]  # of each refinement: its draft


@pytest.fixture(scope="module")
def prompts(pair: Pair, model: Path) -> Prompts:
    """Of twelve chats, whose drafts are sampled."""
    known = format_of(model)
    engine = pair.plain.engine
    said = pair.plain.run(engine.encode("Weaknesses: f1a f2b Suggestions: f3a"))
    drafts, feedback, refinements, expected = [], [], [], []
    for number in range(12):
        asked = (Message("user", f"water word {number} the"),)
        chat = pair.plain.run(engine.encode_chat(asked))
        sampling = replace(GREEDY, temperature=1.0, seed=number, max_tokens=PHASE_TOKENS)
        (draft,) = answers(pair.plain, [(Tokens(chat), sampling)])
        drafts.append(Tokens(chat))
        feedback.append(Tokens(known.feedback_prompt(chat, draft.token_ids)))
        refinements.append(Tokens(known.refinement_prompt(chat, draft.token_ids, said)))
        expected.append(draft.token_ids)
    return Prompts(drafts, feedback, refinements, expected)


def test_greedy_texts_are_the_same_in_a_batch_of_all_phases(pair: Pair, prompts: Prompts) -> None:
    greedy = [(p, GREEDY) for p in (*prompts.drafts, *prompts.feedback, *prompts.refinements)]
    sampled = [
        (prompt, replace(GREEDY, temperature=1.0, top_p=0.9, seed=number))
        for number, prompt in enumerate(prompts.refinements)
    ]
    before = counted(pair.speculating)
    nothing = [()] * (len(greedy) - len(prompts.refinements))
    expected = [*nothing, *prompts.expected, *prompts.expected]
    plain, speculating = pair.both([*greedy, *sampled], expected)
    assert told(speculating[: len(greedy)]) == told(plain[: len(greedy)])
    guessed, accepted = (
        now - then for now, then in zip(counted(pair.speculating), before, strict=True)
    )
    # Four words in five are kept: many tokens of 24 refinements come from guesses.
    assert guessed > accepted > 24 * PHASE_TOKENS / 4


def told(completions: Sequence[Completion]) -> list[tuple[Any, ...]]:
    """All but what was found in the cache."""
    return [(one.text, one.token_ids, one.finish_reason) for one in completions]


@pytest.mark.parametrize(
    "sampling",
    [
        replace(GREEDY, ignore_eos=True, max_tokens=None),  # to the end of the window
        replace(GREEDY, presence_penalty=0.5, frequency_penalty=0.3),
        replace(GREEDY, repetition_penalty=1.2),
        replace(GREEDY, min_tokens=PHASE_TOKENS + 10, max_tokens=PHASE_TOKENS + 20),
        replace(GREEDY, stop=("a30a",)),
        replace(GREEDY, constraint=Constraint("regex", "[a-z0-9 ]{5,70}")),
        replace(GREEDY, max_tokens=7),
        replace(GREEDY, top_p=0.5, top_k=5),
    ],
)
def test_greedy_refinements_are_the_same_however_they_are_asked_for(
    pair: Pair, prompts: Prompts, sampling: Sampling
) -> None:
    before = counted(pair.speculating)
    asked = [(prompt, sampling) for prompt in prompts.refinements]
    plain, speculating = pair.both(asked, prompts.expected)
    assert told(speculating) == told(plain)
    assert counted(pair.speculating)[1] > before[1]


def test_guesses_are_made_only_where_something_is_expected(pair: Pair, prompts: Prompts) -> None:
    before = counted(pair.speculating)
    every = (*prompts.drafts, *prompts.feedback, *prompts.refinements)
    answers(pair.speculating, [(prompt, GREEDY) for prompt in every])
    assert counted(pair.speculating) == before
    answers(pair.speculating, [(prompts.refinements[0], GREEDY)], prompts.expected[:1])
    assert counted(pair.speculating) > before


def test_a_refinement_that_copies_nothing_is_not_guessed_at(
    pair: Pair, prompts: Prompts, model: Path
) -> None:
    known = format_of(model)
    chat = prompts.drafts[0].ids
    strange = pair.plain.run(pair.plain.engine.encode("water word the three time together " * 8))
    before = counted(pair.speculating)
    prompt = Tokens(known.refinement_prompt(chat, strange, strange[:3]))
    answers(pair.speculating, [(prompt, GREEDY)], [strange])
    assert counted(pair.speculating) == before


def test_sampled_refinements_are_drawn_from_the_same_words(
    pair: Pair, prompts: Prompts, model: Path
) -> None:
    """Where a word is changed there are eight, drawn nearly evenly: the draft's must not come more
    often for being guessed, nor less."""
    plain, speculating = (Counter[tuple[str, bool]]() for _ in range(2))
    for found, first_seed, running in (
        (plain, 0, pair.plain),
        (speculating, 1000, pair.speculating),
    ):
        asked = [
            (prompt, replace(GREEDY, temperature=1.0, seed=first_seed + 20 * number + again))
            for number, prompt in enumerate(prompts.refinements)
            for again in range(4)
        ]
        drafts = [drafted(prompt, model) for prompt, _ in asked]
        expected = [draft for draft in prompts.expected for _ in range(4)]
        for draft, answer in zip(drafts, answers(running, asked, expected), strict=True):
            assert len(answer.token_ids) == PHASE_TOKENS
            found.update(changed_words(words(answer.token_ids, model), draft))
    assert plain.total() == speculating.total() == 48 * PHASE_TOKENS / 5
    for part in (0, 1):  # by the word, and by whether it is the draft's
        assert_alike(by_part(plain, part), by_part(speculating, part))


def words(ids: Sequence[int], model: Path) -> list[str]:
    from tokenizers import Tokenizer

    known = Tokenizer.from_file(str(model / "tokenizer.json"))
    return [str(known.id_to_token(token)) for token in ids]


def drafted(prompt: Tokens, model: Path) -> list[str]:
    said = words(prompt.ids, model)
    end = said.index(phased_model.FEEDBACK)
    return said[end - PHASE_TOKENS : end]


def changed_words(written: Sequence[str], draft: Sequence[str]) -> Iterator[tuple[str, bool]]:
    for place, (word, was) in enumerate(zip(written, draft, strict=True)):
        assert word.startswith(f"a{place}")
        if place % phased_model.PERIOD >= 0.8 * phased_model.PERIOD:
            yield word[-1], word == was


def by_part(found: Counter[tuple[str, bool]], part: int) -> Counter[Any]:
    alone: Counter[Any] = Counter()
    for key, times in found.items():
        alone[key[part]] += times
    return alone


def assert_alike(one: Counter[Any], other: Counter[Any]) -> None:
    """Two samples of the same size, by a chi-square test; the seeds are fixed, and so is what is
    drawn."""
    differences = [(one[key] - other[key]) ** 2 / (one[key] + other[key]) for key in one | other]
    assert sum(differences) < most_chi_square(len(differences) - 1), (one, other)


def test_a_seed_gives_the_same_text_in_any_company(pair: Pair, prompts: Prompts) -> None:
    asked = [
        (prompt, replace(GREEDY, temperature=1.0, seed=number))
        for number, prompt in enumerate(prompts.refinements)
    ]
    together = answers(pair.speculating, asked, prompts.expected)
    (alone,) = answers(pair.speculating, asked[3:4], prompts.expected[3:4])
    assert alone.token_ids == together[3].token_ids


def test_what_cannot_be_verified_is_refused_by_name(pair: Pair, prompts: Prompts) -> None:
    asked = replace(GREEDY, temperature=1.0, min_p=0.1)  # greedy texts need no min_p
    with pytest.raises(EngineRefused, match="min_p and logit_bias"):
        answers(pair.speculating, [(prompts.refinements[0], asked)])
    answers(pair.speculating, [(prompts.refinements[0], GREEDY)])
