"""The engine over transformers: batched, padded, stopped and seeded as if each call were alone."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from redraft.server.engine.base import Call, Completion, PromptTooLong, Sampling, Tokens, complete
from redraft.train.data import tokens
from tests.support import tiny_model

pytestmark = pytest.mark.train

GREEDY = Sampling(temperature=0.0, max_tokens=12, ignore_eos=True)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from transformers import AutoModelForCausalLM

    folder = tiny_model.build(tmp_path_factory.mktemp("model"))
    loaded = AutoModelForCausalLM.from_pretrained(folder, dtype="float32").eval()
    return loaded, tokens.load(folder), folder


def run(model: Any, *asked: tuple[tuple[int, ...], Sampling], batch: int = 64) -> list[Completion]:
    from redraft.train.transformers_engine import TransformersEngine

    async def all_at_once() -> list[Completion]:
        engine = TransformersEngine(model[0], model[1], "tiny", 4096, batch)
        calls = (
            complete(engine, Tokens(ids), how, Call(str(n))) for n, (ids, how) in enumerate(asked)
        )
        try:
            return await asyncio.gather(*calls)
        finally:
            await engine.close()

    return asyncio.run(all_at_once())


PROMPTS = [tuple(range(10, 10 + n)) for n in (3, 17, 5, 40, 8)]


def test_padding_changes_nothing(model: Any) -> None:
    together = run(model, *((ids, GREEDY) for ids in PROMPTS))
    alone = [run(model, (ids, GREEDY))[0] for ids in PROMPTS]
    assert [c.token_ids for c in together] == [c.token_ids for c in alone]


def test_it_generates_what_transformers_does(model: Any) -> None:
    import torch

    (found,) = run(model, (PROMPTS[1], GREEDY))
    expected = model[0].generate(
        torch.tensor([PROMPTS[1]]), do_sample=False, max_new_tokens=12, min_new_tokens=12
    )
    assert found.token_ids == tuple(expected[0, len(PROMPTS[1]) :].tolist())


def test_rows_that_end_early_do_not_disturb_the_others(model: Any) -> None:
    (whole,) = run(model, (PROMPTS[0], GREEDY))
    short = Sampling(temperature=0.0, max_tokens=3, ignore_eos=True)
    asked = [(ids, short) for ids in PROMPTS[1:]] + [(PROMPTS[0], GREEDY)]
    found = run(model, *asked)
    assert found[-1].token_ids == whole.token_ids
    assert [c.finish_reason for c in found] == ["length"] * 5
    assert [c.usage.completion_tokens for c in found] == [3, 3, 3, 3, 12]


def test_a_stop_token_ends_a_completion_and_is_counted_but_not_shown(model: Any) -> None:
    (whole,) = run(model, (PROMPTS[0], GREEDY))
    stop = whole.token_ids[4]
    first = whole.token_ids.index(stop)
    how = Sampling(temperature=0.0, max_tokens=12, ignore_eos=True, stop_token_ids=(stop,))
    (found,) = run(model, (PROMPTS[0], how))
    assert found.finish_reason == "stop"
    assert found.token_ids == whole.token_ids[:first]
    assert found.usage.completion_tokens == first + 1


def test_a_stop_string_ends_a_completion_before_it(model: Any) -> None:
    (whole,) = run(model, (PROMPTS[0], GREEDY))
    stop = whole.text[len(whole.text) // 2 :][:4]
    how = Sampling(temperature=0.0, max_tokens=12, ignore_eos=True, stop=(stop,))
    (found,) = run(model, (PROMPTS[0], how))
    assert found.finish_reason == "stop"
    assert stop not in found.text
    assert whole.text.startswith(found.text)


def test_a_seed_decides_a_sample(model: Any) -> None:
    how = [Sampling(temperature=1.0, max_tokens=12, ignore_eos=True, seed=s) for s in (1, 1, 2)]
    one, same, other = run(model, *((PROMPTS[0], h) for h in how))
    assert one.token_ids == same.token_ids != other.token_ids


def test_a_prompt_that_fills_the_window_is_refused(model: Any) -> None:
    with pytest.raises(PromptTooLong, match="the window is 4096"):
        run(model, (tuple(range(10, 60)) * 100, GREEDY))
