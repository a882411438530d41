"""Turns a GGUF file of a Llama into what vLLM serves: safetensors in bfloat16, config, tokenizer.

Reads the layout of llama.cpp with the library ``gguf``. The tokenizers it knows are those of
byte-level BPE whose digits stand alone, as SmolLM's do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
OUTSIDE = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
}
SPECIAL = 3  # llama.cpp's type of a control token


class UnknownGguf(ValueError):
    """The file holds something that this module cannot turn."""


def convert(gguf_file: Path, directory: Path, sampling: Mapping[str, float]) -> None:
    """Write the model in ``gguf_file`` into ``directory``, which exists; ``sampling`` is for
    requests that say nothing."""
    from gguf import GGUFReader

    reader: Any = GGUFReader(gguf_file)
    fields = {name: field.contents() for name, field in reader.fields.items()}
    kind = fields.get("general.architecture"), fields.get("tokenizer.ggml.pre")
    if kind != ("llama", "smollm"):
        raise UnknownGguf(f"{gguf_file} is {kind}, expected ('llama', 'smollm')")
    config = config_of(fields)
    _write_json(directory / "config.json", config)
    special = {name: config[name] for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    _write_json(directory / "generation_config.json", {**special, "do_sample": True, **sampling})
    _write_tokenizer(fields, directory)
    _write_weights(reader, config, directory)


def config_of(fields: dict[str, Any]) -> dict[str, Any]:
    """The content of config.json."""
    heads = fields["llama.attention.head_count"]
    hidden = fields["llama.embedding_length"]
    return {
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": False,
        "bos_token_id": fields["tokenizer.ggml.bos_token_id"],
        "dtype": "bfloat16",
        "eos_token_id": fields["tokenizer.ggml.eos_token_id"],
        "head_dim": hidden // heads,
        "hidden_act": "silu",
        "hidden_size": hidden,
        "intermediate_size": fields["llama.feed_forward_length"],
        "max_position_embeddings": fields["llama.context_length"],
        "mlp_bias": False,
        "model_type": "llama",
        "num_attention_heads": heads,
        "num_hidden_layers": fields["llama.block_count"],
        "num_key_value_heads": fields["llama.attention.head_count_kv"],
        "pad_token_id": fields["tokenizer.ggml.padding_token_id"],
        # Stored in 32 bits: 1e-05 reads as 9.999999747378752e-06.
        "rms_norm_eps": float(f"{fields['llama.attention.layer_norm_rms_epsilon']:.6g}"),
        "rope_parameters": {
            "rope_theta": fields["llama.rope.freq_base"],
            "rope_type": "default",
        },
        "tie_word_embeddings": True,
        "vocab_size": len(fields["tokenizer.ggml.tokens"]),
    }


def _write_tokenizer(fields: dict[str, Any], directory: Path) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    tokens = fields["tokenizer.ggml.tokens"]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    merges = [tuple(merge.split(" ", 1)) for merge in fields["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    # "smollm": each digit alone, which decides how the spaces and lines before a number are cut.
    digits = pre_tokenizers.Digits(individual_digits=True)
    words = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, words])
    tokenizer.decoder = decoders.ByteLevel()
    kinds = fields["tokenizer.ggml.token_type"]
    special = [token for token, kind in zip(tokens, kinds, strict=True) if kind == SPECIAL]
    tokenizer.add_special_tokens(special)
    tokenizer.save(str(directory / "tokenizer.json"))

    (directory / "chat_template.jinja").write_text(
        fields["tokenizer.chat_template"], encoding="utf-8"
    )
    _write_json(
        directory / "tokenizer_config.json",
        {
            "add_prefix_space": False,
            "bos_token": tokens[fields["tokenizer.ggml.bos_token_id"]],
            "clean_up_tokenization_spaces": False,
            "eos_token": tokens[fields["tokenizer.ggml.eos_token_id"]],
            "model_max_length": fields["llama.context_length"],
            "pad_token": tokens[fields["tokenizer.ggml.padding_token_id"]],
            # Not GPT2Tokenizer: transformers 5 would build that one without the digits' rule.
            "tokenizer_class": "PreTrainedTokenizerFast",
            "unk_token": tokens[fields["tokenizer.ggml.unknown_token_id"]],
        },
    )


def _write_weights(reader: Any, config: dict[str, Any], directory: Path) -> None:
    import torch
    from gguf import dequantize
    from safetensors.torch import save_file

    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    weights = {}
    for tensor in reader.tensors:
        name, part = _named(tensor.name)
        values = dequantize(tensor.data, tensor.tensor_type)
        if part in heads:
            values = _rows_in_halves(values, heads[part])
        weights[name] = torch.from_numpy(values.copy()).to(torch.bfloat16)
    path = directory / "model.safetensors"
    save_file(weights, path, metadata={"format": "pt"})
    path.chmod((directory / "config.json").stat().st_mode)  # save_file lets its user alone read it


def _named(tensor: str) -> tuple[str, str]:
    """The name that transformers and vLLM have for a tensor of llama.cpp, and its part."""
    layer = re.fullmatch(r"blk\.(\d+)\.(\w+)\.weight", tensor)
    if layer and layer[2] in LAYER:
        return f"model.layers.{layer[1]}.{LAYER[layer[2]]}.weight", layer[2]
    part = tensor.removesuffix(".weight")
    if part in OUTSIDE:
        return f"{OUTSIDE[part]}.weight", part
    raise UnknownGguf(f"there is no place in a Llama for the tensor {tensor}")


def _rows_in_halves(values: Any, heads: int) -> Any:
    """llama.cpp rotates pairs of neighbouring rows of a head, transformers a row of the first half
    with one of the second."""
    rows, columns = values.shape
    pairs = values.reshape(heads, rows // heads // 2, 2, columns)
    return pairs.swapaxes(1, 2).reshape(rows, columns)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
