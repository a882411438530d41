"""The weights in a folder as one model: whole as they are, an adapter folded into its base."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from redraft.train.checkpoints import adapter_base


def ready(folder: Path) -> Any:
    """The model of a folder to compute with: on a GPU in 16 bits, else on the CPU in 32."""
    import torch

    # Folded in 32 bits, so that an adapter is not rounded away.
    model = load(folder, torch.float32)
    on_gpu = torch.cuda.is_available()
    device, dtype = ("cuda", torch.bfloat16) if on_gpu else ("cpu", torch.float32)
    return model.to(device, dtype).eval()


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
