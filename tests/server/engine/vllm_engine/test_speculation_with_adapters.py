"""Speculating from the draft where adapters write: the same texts as without, whoever else is in
the batch.
Spans: server/engine/vllm_engine, server/build"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from redraft.server.build.aliases import ALIASES, cache_folder
from redraft.server.build.names import DEFAULT, SHIPPED
from redraft.server.engine.base import Completion, Message, Tokens
from redraft.server.engine.vllm_engine import Adapter
from redraft.server.refine import manifest
from tests.support import smollm2, speculating, tiny_adapter
from tests.support.speculating import GREEDY, PHASE_TOKENS, Pair, answers, counted, pair_of

pytestmark = pytest.mark.vllm

NAMES = (None, "one", "two")
SMOLLM2 = ALIASES[smollm2.NAME].directory(cache_folder())
WISHES = ("Use no commas.", "Write in capital letters only.", "Say the word boat twice.")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return speculating.phased(tmp_path_factory.mktemp("phased"))


@pytest.fixture(scope="module")
def pair(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    directory = tmp_path_factory.mktemp("adapters")
    adapters = tuple(
        Adapter(name, tiny_adapter.build(directory / name, model, seed=seed, rank=rank))
        for name, seed, rank in (("one", 1, 8), ("two", 2, 12))
    )
    with pair_of(model, max_model_len=192, adapters=adapters) as both:
        yield both


def test_base_and_adapters_write_in_one_batch_what_they_write_without_guesses(
    pair: Pair, model: Path
) -> None:
    known, engine = speculating.format_of(model), pair.plain.engine
    sampling = replace(GREEDY, max_tokens=PHASE_TOKENS + 1)
    said = pair.plain.run(engine.encode("Weaknesses: f1a f2b Suggestions: f3a"))
    prompts, drafts = [], []
    for number in range(8):
        chat = pair.plain.run(engine.encode_chat((Message("user", f"water word {number} the"),)))
        (draft,) = answers(pair.plain, [(Tokens(chat), sampling)])
        prompts.append(Tokens(known.refinement_prompt(chat, draft.token_ids, said)))
        drafts.append(draft.token_ids)
    asked = [(prompt, sampling) for prompt in prompts for _ in NAMES]
    expected = [draft for draft in drafts for _ in NAMES]
    before = counted(pair.speculating)
    plain, guessed = pair.both(asked, expected, NAMES * len(prompts))
    assert texts(guessed) == texts(plain)
    assert len(set(texts(plain[: len(NAMES)]))) == len(NAMES)  # each adapter writes another one
    assert counted(pair.speculating)[1] > before[1]


@pytest.mark.slow
def test_a_real_adapter_writes_the_same_refinements_sooner() -> None:
    smollm2.or_skip()
    recorded = manifest.read(SHIPPED / DEFAULT, SMOLLM2)
    assert recorded is not None
    form = recorded.srt_format
    adapters = (Adapter(DEFAULT, SHIPPED / DEFAULT),)
    sampling = replace(GREEDY, max_tokens=80)
    with pair_of(SMOLLM2, max_model_len=1024, adapters=adapters) as both:
        plain = both.plain
        prompts, drafts = [], []
        for wish in WISHES:
            question = (Message("user", f"Describe the sea in two sentences. {wish}"),)
            chat = plain.run(plain.engine.encode_chat(question))
            (draft,) = answers(plain, [(Tokens(chat), sampling)])
            to_judge = Tokens(form.feedback_prompt(chat, draft.token_ids))
            stopping = replace(sampling, stop=form.stop_strings())
            (said,) = answers(plain, [(to_judge, stopping)], adapters=[DEFAULT])
            prompts.append(Tokens(form.refinement_prompt(chat, draft.token_ids, said.token_ids)))
            drafts.append(draft.token_ids)
        before = counted(both.speculating)
        without, guessed = both.both(
            [(p, sampling) for p in prompts], drafts, [DEFAULT] * len(prompts)
        )
        assert texts(guessed) == texts(without)
        accepted = counted(both.speculating)[1] - before[1]
        assert accepted > sum(len(one.token_ids) for one in without) / 4


def texts(completions: list[Completion]) -> list[tuple[str, tuple[int, ...], str | None]]:
    return [(one.text, one.token_ids, one.finish_reason) for one in completions]
