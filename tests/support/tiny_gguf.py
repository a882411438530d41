"""A small Llama with random weights in a GGUF file, as llama.cpp lays one out:

write_gguf(path)
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

LAYERS, HIDDEN, HEADS, KV_HEADS, INNER, WINDOW = 2, 64, 4, 2, 96, 256
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
TEMPLATE = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>{% endfor %}"
NORMAL_TOKEN, CONTROL_TOKEN = 1, 3


def tokens() -> list[str]:
    from tokenizers import pre_tokenizers

    return [*SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet()), "ĊĊ", "th"]


def tensors() -> dict[str, Any]:
    """By llama.cpp's names; the rows of queries and keys as it orders them."""
    import numpy

    random = numpy.random.default_rng(0)
    shapes = {
        "attn_q": (HIDDEN, HIDDEN),
        "attn_k": (HIDDEN // HEADS * KV_HEADS, HIDDEN),
        "attn_v": (HIDDEN // HEADS * KV_HEADS, HIDDEN),
        "attn_output": (HIDDEN, HIDDEN),
        "ffn_gate": (INNER, HIDDEN),
        "ffn_up": (INNER, HIDDEN),
        "ffn_down": (HIDDEN, INNER),
        "attn_norm": (HIDDEN,),
        "ffn_norm": (HIDDEN,),
    }
    named = {
        f"blk.{layer}.{part}.weight": random.standard_normal(shape).astype("float32") / 8
        for layer in range(LAYERS)
        for part, shape in shapes.items()
    }
    named["token_embd.weight"] = random.standard_normal((len(tokens()), HIDDEN)).astype("float32")
    named["output_norm.weight"] = numpy.ones(HIDDEN, "float32")
    return named


def write_gguf(path: Path, pre: str = "smollm") -> Path:
    from gguf import GGUFWriter

    writer: Any = GGUFWriter(path, "llama")
    writer.add_context_length(WINDOW)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_freq_base(10_000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    listed = tokens()
    writer.add_token_list(listed)
    kinds = [CONTROL_TOKEN if token in SPECIAL else NORMAL_TOKEN for token in listed]
    writer.add_token_types(kinds)
    writer.add_token_merges(["Ċ Ċ", "t h"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(2)
    writer.add_chat_template(TEMPLATE)
    for name, values in tensors().items():
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
