"""In which format a model is served where the operator names none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from redraft.server.engine.vllm_engine import VllmSettings, memory, number_format
from redraft.server.engine.vllm_engine.number_format import suited


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor without instructions for bfloat16."""
    monkeypatch.setattr(number_format, "slow_in_16_bits", lambda: True)


def model(folder: Path, num_bytes: int = 1000, **config: Any) -> VllmSettings:
    (folder / "config.json").write_text(json.dumps({"dtype": "bfloat16", **config}))
    with (folder / "model.safetensors").open("wb") as weights:
        weights.truncate(num_bytes)  # sparse: it takes no room
    return VllmSettings(folder)


@pytest.mark.usefixtures("without")
def test_where_16_bits_are_slow_a_model_is_served_in_32(tmp_path: Path) -> None:
    settings = model(tmp_path)
    assert suited(settings).dtype == "float32"
    assert memory.loaded_bytes(suited(settings)) == 2 * memory.loaded_bytes(settings)


@pytest.mark.usefixtures("without")
def test_a_format_that_the_operator_names_stays(tmp_path: Path) -> None:
    chosen = VllmSettings(model(tmp_path).model, dtype="bfloat16")
    assert suited(chosen) == chosen


@pytest.mark.usefixtures("without")
def test_a_model_that_would_fill_the_memory_stays_as_it_is(tmp_path: Path) -> None:
    settings = model(tmp_path, memory.available_bytes() // 3)
    assert suited(settings) == settings


@pytest.mark.usefixtures("without")
def test_a_cache_that_the_operator_made_for_16_bits_is_large_enough(tmp_path: Path) -> None:
    shape = {"num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 64}
    directory = model(tmp_path, **shape, max_position_embeddings=128).model
    enough = memory.window_bytes(2 * 2 * 64 * 2, 128)
    one = VllmSettings(directory, kv_cache_memory_bytes=enough)
    two = VllmSettings(directory, kv_cache_memory_bytes=2 * enough)
    assert (suited(one).dtype, suited(two).dtype) == ("auto", "float32")


@pytest.mark.usefixtures("without")
def test_a_quantized_model_stays_as_it_is(tmp_path: Path) -> None:
    settings = model(tmp_path, quantization_config={"quant_method": "awq"})
    assert suited(settings) == settings


def test_where_they_are_not_nothing_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(number_format, "slow_in_16_bits", lambda: False)
    settings = model(tmp_path)
    assert suited(settings) == settings
