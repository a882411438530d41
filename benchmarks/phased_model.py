"""A model to measure time with: the cost of a real one, and phases of a set length.

    redraft bench phased-model DIR --hidden 768 --layers 12 --phase-tokens 64

How long a model writes decides what a loop costs, so systems can only be compared on a model that
writes as much for each of them. This one is a Llama of any size whose layers do all their work on
random weights and add next to nothing; what it says is decided by the last token alone. After the
start of an answer comes one of two words, nearly evenly, then one of two others, and so on for
``phase-tokens`` words and an end: no two texts are alike, all are equally long, and feedback ends
in a score that can be read. Refinements have words of their own, and so repeat nothing of their
drafts; with ``--kept 0.8`` they repeat four words in five, and the others, four in a row, are
drawn from eight each. It knows nothing; nothing but time should be measured with it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redraft.benchmarks.commands.options import read
from redraft.benchmarks.load.workload import WORDS
from redraft.server.options import option
from redraft.server.refine import manifest
from redraft.server.refine.srt_format import Marker, SrtFormat, render_feedback

WINDOW = 8192
PAD, UNKNOWN, USER, ASSISTANT, SYSTEM, END = (
    "<|pad|>",
    "<|unknown|>",
    "<|user|>",
    "<|assistant|>",
    "<|system|>",
    "<|end|>",
)
FEEDBACK, REFINEMENT = "<|feedback|>", "<|refinement|>"
SPECIAL = (PAD, UNKNOWN, USER, ASSISTANT, SYSTEM, END, FEEDBACK, REFINEMENT)
STARTS = (ASSISTANT, FEEDBACK, REFINEMENT)
AFTER = {ASSISTANT: FEEDBACK, FEEDBACK: REFINEMENT, REFINEMENT: END}
SCORE = 5  # in the middle: no gate that anyone sets stops on it
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
PERIOD = 20  # words, the last few of which a refinement changes
LEAD = 40.0  # of the right words' logits over all others, which are never drawn
FAVOUR = 0.125  # of each of the right words over the next: who writes greedily has no doubt


@dataclass(frozen=True, kw_only=True)
class PhasedShape:
    """The size of a model and of its phases."""

    hidden: int = option("size of the hidden states", 768)
    layers: int = option("number of layers", 12)
    heads: int = option("attention heads of a layer", 12)
    phase_tokens: int = option("of each phase, its end not counted", 64)
    kept: float = option("share of its draft that a refinement repeats", 0.0)


def build(directory: Path, shape: PhasedShape, seed: int = 0) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    follows = successors(shape.phase_tokens, shape.kept)
    vocabulary = [*SPECIAL, *WORDS]
    vocabulary += sorted({word for words in follows.values() for word in words} - set(vocabulary))
    ids = {word: place for place, word in enumerate(vocabulary)}
    _write_tokenizer(directory, ids)
    _write_weights(directory, shape, ids, follows, seed)
    srt_format = SrtFormat(
        feedback=Marker(FEEDBACK, (ids[FEEDBACK],)),
        refinement=Marker(REFINEMENT, (ids[REFINEMENT],)),
        eos_ids=(ids[END],),
    )
    manifest.write(directory, srt_format)
    return directory


def successors(phase_tokens: int, kept: float = 0.0) -> dict[str, tuple[str, ...]]:
    """The words that may follow each word, nearly equally likely."""
    follows: dict[str, tuple[str, ...]] = {}
    for start in STARTS:
        if kept and start == REFINEMENT:
            follows[start] = follows[ASSISTANT]  # it goes on with the words of a draft
            continue
        choices = _choices(phase_tokens, kept if start == ASSISTANT else 0.0)
        steps: list[tuple[str, ...]] = [
            tuple(f"{start[2]}{n}{choice}" for choice in which) for n, which in enumerate(choices)
        ]
        if start == FEEDBACK:
            _put_feedback_in(steps)
        previous: tuple[str, ...] = (start,)
        for step in steps:
            follows |= dict.fromkeys(previous, step)
            previous = step
        # It writes its phases on, as a model trained on whole sequences does; one that repeats its
        # draft could not, because its last word says nothing of where it is.
        follows |= dict.fromkeys(previous, (END if kept else AFTER[start],))
    # Where the end is ignored, a new answer begins: an uninterrupted text of any length.
    follows[END] = follows[ASSISTANT]
    return follows


def _choices(phase_tokens: int, kept: float) -> list[str]:
    """The choices at each step, one letter for each."""
    if not kept:
        return ["ab"] * phase_tokens
    alike = round(PERIOD * kept)
    return ["a" if n % PERIOD < alike else "abcdefgh" for n in range(phase_tokens)]


def _put_feedback_in(steps: list[tuple[str, ...]]) -> None:
    """Put headings at the start and in the middle and the score at the end, without choices."""
    weaknesses, suggestions, score = render_feedback("", "", SCORE).splitlines()
    last = [(word,) for word in score.split()]
    if len(steps) < len(last) + 4:
        raise ValueError(f"{len(steps)} tokens are too few for feedback; {len(last) + 4} will do")
    steps[0] = (weaknesses.strip(),)
    steps[(len(steps) - len(last)) // 2] = (suggestions.strip(),)
    steps[-len(last) :] = last


def _write_tokenizer(directory: Path, ids: dict[str, int]) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordLevel(ids, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    wrapped: Any = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END,
        pad_token=PAD,
        unk_token=UNKNOWN,
        additional_special_tokens=list(SPECIAL),
        model_max_length=WINDOW,
    )
    wrapped.chat_template = CHAT_TEMPLATE
    wrapped.save_pretrained(directory)


def _write_weights(
    directory: Path,
    shape: PhasedShape,
    ids: dict[str, int],
    follows: dict[str, tuple[str, ...]],
    seed: int,
) -> None:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=-(-len(ids) // 64) * 64,
        hidden_size=shape.hidden,
        intermediate_size=4 * shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        max_position_embeddings=WINDOW,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=[ids[token] for token in (END, FEEDBACK, REFINEMENT)],
        pad_token_id=ids[PAD],
        dtype="bfloat16",
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model: Any = LlamaForCausalLM(config)
        embedding = torch.randn_like(model.model.embed_tokens.weight)
    head = torch.zeros_like(embedding)
    alike: dict[tuple[str, ...], int] = {}  # what follows -> the first word it follows
    for word, nexts in follows.items():
        first = alike.setdefault(nexts, ids[word])
        embedding[ids[word]] = embedding[first]  # which of them it was makes no difference
        if first == ids[word]:
            for place, following in enumerate(nexts):
                head[ids[following]] += embedding[first] * (LEAD - FAVOUR * place) / shape.hidden
    with torch.no_grad():
        model.model.embed_tokens.weight.copy_(embedding)
        model.lm_head.weight.copy_(head)
        for layer in model.model.layers:
            # The layers' work is done and paid for, and then counts for nearly nothing.
            layer.self_attn.o_proj.weight.mul_(1e-3)
            layer.mlp.down_proj.weight.mul_(1e-3)
    model.to(torch.bfloat16)
    model.save_pretrained(directory)


@dataclass(frozen=True, kw_only=True)
class PhasedModelOptions(PhasedShape):
    directory: Path = option("folder the model is written to", positional="DIRECTORY")
    seed: int = option("of the weights", 0)


def main(arguments: Sequence[str]) -> int:
    options = read(PhasedModelOptions, "phased-model", arguments, __doc__)
    build(options.directory, options, options.seed)
    weights = sum(path.stat().st_size for path in options.directory.glob("*.safetensors"))
    print(json.dumps({"model": str(options.directory), "parameters": weights // 2}))
    return 0
