"""LoRA adapters in vLLM, on a tiny model with two of them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from redraft.server.engine.base import (
    Call,
    Completion,
    EngineError,
    EngineRefused,
    Tokens,
    complete,
)
from redraft.server.engine.vllm_engine import Adapter, adapters
from tests.server.engine.vllm_engine.test_direct import chat_body, direct
from tests.support import tiny_adapter, tiny_model
from tests.support.tiny_engine import ASK, Running, changed, engine_processes, running_engine

GREEDY = changed(temperature=0.0, seed=None, max_tokens=24)
NAMES = (None, "one", "two")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model.build(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def pair(model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Adapter, ...]:
    directory = tmp_path_factory.mktemp("adapters")
    return (
        Adapter("one", tiny_adapter.build(directory / "one", model, seed=1)),
        Adapter("two", tiny_adapter.build(directory / "two", model, seed=2, rank=12)),
    )


@pytest.fixture(scope="module")
def running(model: Path, pair: tuple[Adapter, ...]) -> Iterator[Running]:
    with running_engine(model, adapters=pair) as running:
        yield running


async def written_by(running: Running, adapter: str | None, number: int = 0) -> Completion:
    call = Call(f"{adapter}-{number}", adapter=adapter)
    return await complete(running.engine, ASK, GREEDY, call)


@pytest.mark.vllm
def test_each_writes_in_a_mixed_batch_what_it_writes_alone(running: Running) -> None:
    async def together() -> list[Completion]:
        calls = [written_by(running, name, number) for number in range(4) for name in NAMES]
        return await asyncio.gather(*calls)

    alone = [running.run(written_by(running, name)).text for name in NAMES]
    assert len(set(alone)) == 3
    assert [completion.text for completion in running.run(together())] == alone * 4


@pytest.mark.vllm
def test_base_and_adapters_share_no_cached_prefix(running: Running, model: Path) -> None:
    ids = tuple(running.run(running.engine.encode("Name four animals. " * 30)))

    async def cached(adapter: str | None) -> int:
        call = Call(f"cached-{adapter}", adapter=adapter)
        return (await complete(running.engine, Tokens(ids), GREEDY, call)).usage.cached_tokens

    assert [running.run(cached(name)) for name in NAMES] == [0, 0, 0]
    assert all(running.run(cached(name)) > 0 for name in NAMES)


@pytest.mark.vllm
def test_direct_mode_knows_each_adapter_by_its_name(running: Running) -> None:
    answers = {}
    asked = [message.to_json() for message in ASK.messages]
    for name in ("tiny", "one", "two"):
        body = chat_body(model=name, messages=asked, temperature=0, seed=None, max_tokens=24)
        body["ignore_eos"] = True
        status, answer = direct(running, "/v1/chat/completions", body)
        assert (status, answer["model"]) == (200, name)
        answers[name] = answer["choices"][0]["message"]["content"]
    assert answers["one"] == running.run(written_by(running, "one")).text
    assert len(set(answers.values())) == 3


@pytest.mark.vllm
def test_an_adapter_that_was_not_loaded_is_refused(running: Running) -> None:
    with pytest.raises(EngineRefused, match="no adapter 'three'; vLLM was started with one, two"):
        running.run(written_by(running, "three"))


@pytest.mark.vllm
def test_an_engine_that_died_comes_back_with_its_adapters(running: Running) -> None:
    before = [running.run(written_by(running, name)).text for name in NAMES]
    for process in engine_processes():
        os.kill(process.pid, signal.SIGKILL)
    assert running.heard("is back")
    assert [running.run(written_by(running, name)).text for name in NAMES] == before


# Refused before vLLM starts


def edited(adapter: Adapter, directory: Path, **changes: Any) -> Adapter:
    """A copy of an adapter, with fields of its configuration changed."""
    for name in (adapters.CONFIG, adapters.WEIGHTS):
        (directory / name).write_bytes((adapter.path / name).read_bytes())
    config = json.loads((directory / adapters.CONFIG).read_text()) | changes
    (directory / adapters.CONFIG).write_text(json.dumps(config))
    return Adapter("edited", directory)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"r": 1024}, "has rank 1024; vLLM takes 1 to 512"),
        ({"rank_pattern": {"q_proj": 600}}, "has rank 600"),
        ({"modules_to_save": ["lm_head"]}, "uses modules_to_save, .*merge the adapter"),
        ({"use_dora": True, "bias": "all"}, "uses use_dora, bias"),
        ({"peft_type": "IA3"}, "is of type IA3; vLLM serves LORA only"),
    ],
)
def test_what_vllm_does_not_have_is_named(
    pair: tuple[Adapter, ...], model: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(EngineError, match=message) as refused:
        adapters.check([edited(pair[0], tmp_path, **changes)], model)
    assert "\n" not in str(refused.value)


def test_a_directory_that_is_no_adapter_is_refused(model: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"adapter 'none' .* there is no adapter_config.json"):
        adapters.check([Adapter("none", tmp_path)], model)
    (tmp_path / adapters.CONFIG).write_text('{"r": 8}')
    with pytest.raises(EngineError, match=r"has no adapter_model\.safetensors"):
        adapters.check([Adapter("none", tmp_path)], model)
    (tmp_path / adapters.WEIGHTS).write_text("not weights")
    with pytest.raises(EngineError, match="is not a safetensors file"):
        adapters.check([Adapter("none", tmp_path)], model)


def test_an_adapter_of_another_base_is_refused(
    pair: tuple[Adapter, ...], model: Path, tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM

    def other(**size: int) -> Path:
        from transformers import LlamaConfig

        config = LlamaConfig.from_pretrained(model)
        for name, value in size.items():
            setattr(config, name, value)
        loaded: Any = AutoModelForCausalLM.from_config(config)
        loaded.save_pretrained(tmp_path / str(size))
        return tmp_path / str(size)

    with pytest.raises(EngineError, match=r"does not belong to .* inputs there and .*trained on"):
        adapters.check(pair, other(hidden_size=128, num_attention_heads=4, head_dim=64))
    with pytest.raises(EngineError, match=r"it has no model.layers.2\."):
        adapters.check(pair, other(num_hidden_layers=2))


def test_there_is_room_for_the_largest_rank_and_one_slot_for_the_base(
    pair: tuple[Adapter, ...],
) -> None:
    words = adapters.arguments(pair)
    options = dict(zip(words[1:5:2], words[2:5:2], strict=True))
    assert options == {"--max-loras": "3", "--max-lora-rank": "16"}
    assert [json.loads(word)["name"] for word in words[-2:]] == ["one", "two"]
    assert adapters.arguments(()) == []
