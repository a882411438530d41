"""A small Llama with random weights: a real model for tests that need one, made in a second.

Owns the tokenizer, the chat template and the weights the engine tests run on; every call with
the same directory writes the same bytes. Run it to look at one:

    python -m tests.support.tiny_model DIR
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from redraft.server.refine import manifest
from redraft.server.refine.srt_format import Marker, SrtFormat

WINDOW = 4096
VOCABULARY = 448

PAD, SYSTEM, USER, ASSISTANT, END = "<|pad|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>"
FEEDBACK, REFINEMENT = "<|feedback|>", "<|refinement|>"
SPECIAL = (PAD, SYSTEM, USER, ASSISTANT, END, FEEDBACK, REFINEMENT)

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)

# Enough English for a few hundred merges, so that tokens are words and not only bytes.
CORPUS = (
    "Name four animals in alphabetical order, none starting with c.",
    "The response lists the numbers, but the sum of the second column is wrong.",
    "Weaknesses: the answer is not sorted. Suggestions: sort the words. Overall Score: [[4]]",
    "Write the words that have more than five letters, and leave out the others.",
    "What is the total of 12, 34 and 56? The total of these three numbers is 102.",
    "Improved Response: ant, bear, dog, elephant. Feedback: this answer is correct.",
)


def build(directory: Path, *, with_manifest: bool = True) -> Path:
    """Write the model into ``directory`` and return it."""
    directory.mkdir(parents=True, exist_ok=True)
    _write_tokenizer(directory)
    _write_weights(directory)
    if with_manifest:
        manifest.write(directory, srt_format())
    return directory


def special_id(token: str) -> int:
    """Special tokens come first in the vocabulary."""
    return SPECIAL.index(token)


def srt_format() -> SrtFormat:
    return SrtFormat(
        feedback=Marker(FEEDBACK, (special_id(FEEDBACK),)),
        refinement=Marker(REFINEMENT, (special_id(REFINEMENT),)),
        eos_ids=(special_id(END),),
    )


def tokenizer() -> Any:
    """Its tokenizer, as the tokenizers library has it."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),  # so any UTF-8 text has tokens
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


def decode(ids: Iterable[int]) -> str:
    return str(tokenizer().decode(list(ids), skip_special_tokens=True))


def _write_tokenizer(directory: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    wrapped: Any = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer(),
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=list(SPECIAL),
        model_max_length=WINDOW,
    )
    wrapped.chat_template = CHAT_TEMPLATE
    wrapped.save_pretrained(directory)


def _write_weights(directory: Path) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=256,
        intermediate_size=512,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=WINDOW,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=special_id(END),
        pad_token_id=special_id(PAD),
        dtype="bfloat16",
    )
    write_random(LlamaForCausalLM, config, directory)


def write_random(model_class: Any, config: Any, directory: Path) -> None:
    """Random weights, the same every time, and how they are sampled by default."""
    import torch
    from transformers import GenerationConfig

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = model_class(config)
    model.to(torch.bfloat16)
    model.generation_config = GenerationConfig(
        do_sample=True,
        temperature=0.7,
        eos_token_id=special_id(END),
        pad_token_id=special_id(PAD),
    )
    model.save_pretrained(directory)


if __name__ == "__main__":
    print(build(Path(sys.argv[1])))
