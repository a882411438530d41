"""How much memory, time and money a training takes, by arithmetic anyone can check.

all weights    16 bytes a parameter (4 weight, 4 gradient, 8 Adam), sharded over the GPUs
an adapter     2 bytes a frozen parameter (0.55 in 4 bits), 16 for each of its own
computation    6 operations a parameter and token, 4 where its weights are frozen; 2 more when
               activations are recomputed, and 2 for the reference model of pairs
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redraft.server.options import ConfigError, option

_GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Plan:
    """What a recipe expects of data and machines; only the plan reads it."""

    sequences: int = option("lessons that pass the filter; paper section 4.1: 22000", 22_000)
    sequence_tokens: int = option("mean tokens of a lesson", 1_000)
    pairs: int = option("pairs that pass the filter; paper section 4.1: 63000", 63_000)
    pair_tokens: int = option("mean tokens of a pair, both sequences", 1_200)
    gpus: int = option("over all machines", 1)
    gpu_memory_gib: int = option("of one GPU", 80)
    gpu_tflops: float = option("of one GPU, dense bfloat16", 989.0)
    utilisation: float = option("share of that which training reaches", 0.35)
    gpu_hour: float = option("money for an hour of one GPU", 2.5)


@dataclass(frozen=True, slots=True)
class Shape:
    """The size of a Llama model."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    intermediate: int
    vocabulary: int
    tied: bool = False  # one matrix embeds tokens and predicts them

    @property
    def parameters(self) -> int:
        attention = 2 * self.hidden**2 * (1 + self.kv_heads / self.heads)
        layer = attention + 3 * self.hidden * self.intermediate
        return round(self.layers * layer + (2 - self.tied) * self.vocabulary * self.hidden)

    def adapter_parameters(self, rank: int) -> int:
        """The parameters of LoRA on every linear layer."""
        key = self.hidden * self.kv_heads // self.heads
        attention = 2 * 2 * self.hidden + 2 * (self.hidden + key)
        widths = attention + 3 * (self.hidden + self.intermediate)
        return self.layers * rank * widths


# Llama 2, as Tulu 2 has it, and SmolLM2 (config.json of the released models).
KNOWN = {
    "tulu-2-7b": Shape(4096, 32, 32, 32, 11008, 32000),
    "tulu-2-13b": Shape(5120, 40, 40, 40, 13824, 32000),
    "tulu-2-70b": Shape(8192, 80, 64, 8, 28672, 32000),
    "smollm2": Shape(576, 30, 9, 3, 1536, 49152, tied=True),
}


@dataclass(frozen=True, slots=True)
class TrainingSize:
    """What one training takes."""

    steps: int
    tokens: int
    global_batch: int
    memory_gib: float  # of the GPU that needs most
    hours: float
    cost: float
    operations: float  # of all steps

    def fits(self, plan: Plan) -> bool:
        return self.memory_gib < 0.95 * plan.gpu_memory_gib

    def __str__(self) -> str:
        return (
            f"{self.tokens / 1e6:.0f} M tokens, {self.steps} steps of {self.global_batch}, "
            f"{self.memory_gib:.0f} GiB a GPU, {self.hours:.1f} h, cost {self.cost:.0f}"
        )


def shape_of(model: str) -> Shape:
    """From the model's config.json, or the table above by the name of the folder."""
    config = Path(model) / "config.json"
    if config.is_file():
        content = json.loads(config.read_text(encoding="utf-8"))
        heads = content["num_attention_heads"]
        return Shape(
            content["hidden_size"],
            content["num_hidden_layers"],
            heads,
            content.get("num_key_value_heads", heads),
            content["intermediate_size"],
            content["vocab_size"],
            content.get("tie_word_embeddings", False),
        )
    for name, shape in KNOWN.items():
        if Path(model).name.startswith(name):
            return shape
    raise ConfigError(f"no {config}, and {Path(model).name!r} is none of {', '.join(KNOWN)}")


def size(
    shape: Shape,
    plan: Plan,
    arguments: Any,  # TRL's own
    *,
    pairs: bool = False,
    lora: Mapping[str, Any] | None = None,
    quantized: bool = False,
) -> TrainingSize:
    """The size of stage one, or with ``pairs`` of stage two."""
    rows = plan.pairs if pairs else plan.sequences
    row_tokens = plan.pair_tokens if pairs else plan.sequence_tokens
    batch = arguments.per_device_train_batch_size * arguments.gradient_accumulation_steps
    batch *= plan.gpus
    steps = arguments.max_steps
    if steps <= 0:
        steps = -(-rows // batch) * int(arguments.num_train_epochs)
    tokens = steps * batch * row_tokens
    work = 4 if lora else 6
    work += 2 * bool(arguments.gradient_checkpointing)
    work += 2 * pairs
    operations = float(work * shape.parameters * tokens)
    hours = operations / (plan.gpus * plan.gpu_tflops * 1e12 * plan.utilisation) / 3600
    longest = arguments.max_length or 2 * row_tokens // (2 if pairs else 1)
    memory = _weights(shape, plan, pairs, lora or {}, quantized)
    memory += _activations(shape, arguments, longest * (2 if pairs else 1))
    cost = hours * plan.gpus * plan.gpu_hour
    return TrainingSize(steps, tokens, batch, memory / _GIB, hours, cost, operations)


def _weights(
    shape: Shape, plan: Plan, pairs: bool, lora: Mapping[str, Any], quantized: bool
) -> float:
    if lora:
        frozen = shape.parameters * (0.55 if quantized else 2)
        return frozen + 16 * shape.adapter_parameters(int(lora.get("r", 8)))
    reference = 4 if pairs else 0
    return shape.parameters * (16 + reference) / plan.gpus


def _activations(shape: Shape, arguments: Any, longest: int) -> float:
    """In bfloat16; with recomputation one layer in full and the input of every other."""
    tokens = arguments.per_device_train_batch_size * longest
    layer = tokens * (16 * shape.hidden + 6 * shape.intermediate) * 2
    if not arguments.gradient_checkpointing:
        return float(shape.layers * layer)
    gathered = 2 * 2 * shape.parameters / shape.layers  # two layers' weights, while in use
    return float(layer + shape.layers * tokens * shape.hidden * 2 + gathered)
