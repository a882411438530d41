"""The weights in a folder as one model: whole as they are, an adapter folded into its base."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from redraft.train.checkpoints import adapter_base


def load(folder: Path, dtype: Any, base: str | None = None) -> Any:
    """``base`` takes the place of the one that the adapter names."""
    from transformers import AutoModelForCausalLM

    named = adapter_base(folder)
    if named is None:
        return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
    from peft import PeftModel

    # From whole weights, not the 4-bit ones of QLoRA: folding in there would round the adapter.
    model = AutoModelForCausalLM.from_pretrained(base or named, dtype=dtype)
    return PeftModel.from_pretrained(model, str(folder)).merge_and_unload()
