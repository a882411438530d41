"""A model whose class lacks a library here is refused in one line that names the library."""

from __future__ import annotations

from pathlib import Path

import pytest

from redraft.server.engine.base import EngineError
from redraft.server.engine.vllm_engine.model_classes import import_classes, unknown_architectures

pytestmark = pytest.mark.vllm


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("torchvision", r"it needs torchvision; for a CPU add the build that belongs to torch 2"),
        ("timm", r"vLLM's Of_timm cannot be imported: No module named 'timm'"),
    ],
)
def test_a_class_that_cannot_be_imported_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str, message: str
) -> None:
    from vllm import ModelRegistry

    error = f'raise ModuleNotFoundError("No module named {missing!r}", name={missing!r})'
    (tmp_path / f"class_of_{missing}.py").write_text(error)
    monkeypatch.syspath_prepend(tmp_path)
    ModelRegistry.register_model(f"Of_{missing}", f"class_of_{missing}:Model")
    try:
        assert unknown_architectures([f"Of_{missing}"]) == []
        with pytest.raises(EngineError, match=message) as refused:
            import_classes([f"Of_{missing}"])
    finally:
        del ModelRegistry.models[f"Of_{missing}"]
    assert "\n" not in str(refused.value)


def test_one_that_vllm_does_not_know_is_left_to_it() -> None:
    import_classes(["NoSuchForLM", "LlamaForCausalLM"])
    assert unknown_architectures(["NoSuchForLM", "LlamaForCausalLM"]) == ["NoSuchForLM"]
