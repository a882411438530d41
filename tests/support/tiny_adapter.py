"""LoRA adapters for the tiny model, made with peft in a second. Each changes what it writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def build(directory: Path, model: Path, *, seed: int, rank: int = 8, **options: Any) -> Path:
    """Write an adapter for ``model`` into ``directory`` and return it. Another seed is another
    adapter; ``options`` are peft's."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    config = LoraConfig(
        r=rank,
        lora_alpha=2 * rank,
        target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj"],
        task_type="CAUSAL_LM",
        **options,
    )
    base: Any = AutoModelForCausalLM.from_pretrained(model)
    adapted: Any = get_peft_model(base, config)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:  # peft begins with zeros, which change nothing
                torch.nn.init.normal_(weight, std=0.5)
            elif "lora_A" in name:
                torch.nn.init.normal_(weight, std=0.1)
    adapted.save_pretrained(directory)
    return directory
