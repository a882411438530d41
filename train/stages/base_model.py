"""The workbench's model before any training: its own tokenizer, random weights with a head start.

    redraft train base_model --output DIR

A Llama of a few million parameters, so that transformers and vLLM load it unchanged. Train it on
plain responses ('redraft train sft --responses') to get the base model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from redraft.server.options import option
from redraft.train.program import read
from redraft.train.workbench import copying, tokenizer

WINDOW = 2048
INITIAL_SPREAD = 0.05  # the usual 0.02 is for wider models


@dataclass(frozen=True, slots=True)
class BaseModelOptions:
    """A small untrained Llama with the workbench's tokenizer."""

    output: str = option("folder for the model")
    hidden_size: int = option("width", 256)
    num_layers: int = option("depth", 4)
    num_heads: int = option("of attention", 4)
    intermediate_size: int = option("of the feed-forward layers", 768)
    seed: int = option("of the weights", 0)


def build(options: BaseModelOptions) -> int:
    """Write the model; returns its number of parameters."""
    import torch
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

    words = tokenizer.build()
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=options.hidden_size,
        num_hidden_layers=options.num_layers,
        num_attention_heads=options.num_heads,
        num_key_value_heads=options.num_heads,
        intermediate_size=options.intermediate_size,
        max_position_embeddings=WINDOW,
        tie_word_embeddings=True,
        initializer_range=INITIAL_SPREAD,
        bos_token_id=words.bos_token_id,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
    )
    torch.manual_seed(options.seed)
    model = LlamaForCausalLM(config)
    copying.set_up(model, options.seed)
    model.generation_config = GenerationConfig.from_model_config(config)
    output = Path(options.output)
    model.save_pretrained(output)
    words.save_pretrained(output)
    return sum(parameter.numel() for parameter in model.parameters())


def main(argv: Sequence[str]) -> int:
    options = read(BaseModelOptions, "base_model", argv)
    print(f"base_model: {build(options) / 1e6:.2f} M parameters in {options.output}")
    return 0
