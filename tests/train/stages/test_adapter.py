"""An adapter that is shipped: half the bytes, its base by name, and who writes which phase."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from redraft.server.jsonl import FileError
from redraft.server.options import ConfigError
from redraft.server.refine.manifest import tokenizer_sha256
from redraft.train.data import tokens
from redraft.train.stages import adapter
from tests.support import tiny_model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    import torch
    from safetensors.torch import save_file

    tiny_model.build(tmp_path / "base", with_manifest=False)
    (tmp_path / "tuned").mkdir()
    config = {"base_model_name_or_path": str(tmp_path / "base"), "r": 4, "peft_type": "LORA"}
    (tmp_path / "tuned" / "adapter_config.json").write_text(json.dumps(config))
    save_file({"lora_A": torch.rand(4, 8)}, tmp_path / "tuned" / "adapter_model.safetensors")
    return tmp_path


def shipped(folder: Path, *given: str) -> dict[str, Any]:
    paths = ["--model", str(folder / "tuned"), "--output", str(folder / "out")]
    assert adapter.main([*paths, "--base", "smollm2", *given]) == 0
    content: dict[str, Any] = json.loads((folder / "out" / "redraft.json").read_text())
    return content


def test_the_weights_are_in_sixteen_bits_and_the_base_is_named(folder: Path) -> None:
    import torch
    from safetensors.torch import load_file

    shipped(folder)
    weights = load_file(folder / "out" / "adapter_model.safetensors")
    assert weights["lora_A"].dtype == torch.bfloat16
    config = json.loads((folder / "out" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "smollm2"
    assert config["r"] == 4


def test_the_base_drafts_unless_the_adapter_does_too(folder: Path) -> None:
    phases = shipped(folder)["adapters"]
    assert phases == {"draft": None, "feedback": ".", "refinement": "."}
    assert shipped(folder, "--drafts")["adapters"]["draft"] == "."


def test_another_adapter_can_draft_and_goes_with_it(folder: Path) -> None:
    shutil.copytree(folder / "tuned", folder / "stage2")
    phases = shipped(folder, "--drafter", str(folder / "stage2"))["adapters"]
    assert phases == {"draft": "draft", "feedback": ".", "refinement": "."}
    config = json.loads((folder / "out" / "draft" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "smollm2"
    assert (folder / "out" / "draft" / "adapter_model.safetensors").is_file()
    with pytest.raises(ConfigError, match="leave out one"):
        shipped(folder, "--drafter", str(folder / "stage2"), "--drafts")
    with pytest.raises(ConfigError, match="holds no adapter"):
        shipped(folder, "--drafter", str(folder / "base"))


def test_the_manifest_is_that_of_the_bases_tokenizer(folder: Path) -> None:
    content = shipped(folder)
    assert content["base"] == "smollm2"
    assert content["tokenizer_sha256"] == tokenizer_sha256(folder / "base")
    assert content["format_hash"] == tokens.load(folder / "base").srt_format().hash
    assert content["policy"]["good_enough"] == 10
    assert {path.name for path in (folder / "out").iterdir()} == {
        "adapter_config.json",
        "adapter_model.safetensors",
        "redraft.json",
    }


def test_whole_weights_are_not_shipped_as_an_adapter(folder: Path) -> None:
    given = ["--model", str(folder / "base"), "--output", str(folder / "out"), "--base", "x"]
    with pytest.raises(ConfigError, match="holds no adapter"):
        adapter.main(given)


def test_figures_that_cannot_be_read_are_told_before_anything_is_written(folder: Path) -> None:
    (folder / "figures.json").write_text("[0.4")
    with pytest.raises(FileError, match="needs JSON"):
        shipped(folder, "--evaluation", str(folder / "figures.json"))
    assert not (folder / "out").exists()
