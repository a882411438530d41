"""How much memory the KV cache takes where the operator does not say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from redraft.server.engine.vllm_engine import VllmSettings
from redraft.server.engine.vllm_engine.memory import (
    available_bytes,
    default_kv_bytes,
    kv_bytes_per_token,
    whole_bytes,
    window_of,
)

MIB = 1 << 20
SMOLLM2 = {
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "hidden_size": 576,
    "max_position_embeddings": 8192,
}
QWEN3 = {**SMOLLM2, "num_hidden_layers": 28, "num_key_value_heads": 8, "head_dim": 128}


def settings(folder: Path, config: dict[str, Any], **changes: Any) -> VllmSettings:
    (folder / "config.json").write_text(json.dumps(config))
    return VllmSettings(folder, **changes)


def test_a_token_takes_what_its_layers_keep() -> None:
    assert kv_bytes_per_token(SMOLLM2) == 23_040
    assert kv_bytes_per_token(QWEN3) == 114_688
    assert kv_bytes_per_token({"text_config": QWEN3}) == 114_688
    assert kv_bytes_per_token({**QWEN3, "kv_lora_rank": 512}) is None
    assert kv_bytes_per_token({}) is None
    assert kv_bytes_per_token(SMOLLM2, "float32") == 2 * 23_040
    assert window_of({"text_config": SMOLLM2}) == 8192


def test_each_completion_has_a_thousand_tokens_within_a_quarter_of_what_is_free(
    tmp_path: Path,
) -> None:
    few = default_kv_bytes(settings(tmp_path, SMOLLM2, max_num_seqs=16))
    assert few == 16 * 1024 * 23_040
    many = default_kv_bytes(settings(tmp_path, SMOLLM2, max_num_seqs=10**6))
    assert many == pytest.approx(available_bytes() / 4, rel=0.2)


def test_a_full_window_always_fits(tmp_path: Path) -> None:
    long = {**SMOLLM2, "max_position_embeddings": 1 << 20}
    assert default_kv_bytes(settings(tmp_path, long)) == ((1 << 20) + 32) * 23_040
    short = default_kv_bytes(settings(tmp_path, long, max_model_len=64, max_num_seqs=1))
    assert short == 256 * MIB


def test_attention_of_another_kind_has_a_quarter_of_what_is_free(tmp_path: Path) -> None:
    chosen = default_kv_bytes(settings(tmp_path, {"architectures": ["Mamba"]}))
    assert chosen == pytest.approx(available_bytes() / 4, rel=0.2)


def test_the_limit_of_a_container_counts(tmp_path: Path) -> None:
    everything = available_bytes(tmp_path)
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("50\n")
    assert available_bytes(tmp_path) == pytest.approx(everything, rel=0.2)
    (tmp_path / "memory.max").write_text("300\n")
    assert available_bytes(tmp_path) == 250
    assert whole_bytes(tmp_path) == 300 < whole_bytes()
