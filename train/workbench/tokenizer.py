"""The workbench's tokenizer: one token for each word and each number below 100 of its
instructions, bytes for everything else.

Any text can be encoded and comes back unchanged. A word is looked up whole; one that is unknown
becomes bytes. Letters are tokens of their own, so that the critic can spell a word out.
"""

from __future__ import annotations

import string
from typing import TYPE_CHECKING, Any

from redraft.server.refine.srt_format import FEEDBACK_TOKEN, REFINEMENT_TOKEN
from redraft.train.workbench import critic
from redraft.train.workbench.families import FAMILIES
from redraft.train.workbench.families.lexicon import PEOPLE, WORDS
from redraft.train.workbench.tasks import answer, sample

if TYPE_CHECKING:
    from tokenizers import pre_tokenizers

PAD, BOS, EOS = "<|pad|>", "<|bos|>", "<|eos|>"
SYSTEM, USER, ASSISTANT = "<|system|>", "<|user|>", "<|assistant|>"
SPECIAL = (PAD, BOS, EOS, SYSTEM, USER, ASSISTANT, FEEDBACK_TOKEN, REFINEMENT_TOKEN)

# A run of letters, of digits, of signs, each with the space before it; other white space.
_PIECE = r" ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+(?!\S)|\s"

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'user' %}{{ '<|user|>' + message['content'] }}"
    "{% elif message['role'] == 'assistant' %}"
    "{{ '<|assistant|>' + message['content'] + eos_token }}"
    "{% else %}{{ '<|system|>' + message['content'] }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)

_TEXTS_PER_FAMILY = 400


def vocabulary() -> list[str]:
    """Every piece the workbench writes, in a fixed order, in byte-level spelling."""
    from tokenizers.pre_tokenizers import ByteLevel

    listed = [f" {word}" for word in (*WORDS, *PEOPLE, *string.ascii_lowercase)]
    listed += [f" {number}" for number in range(100)] + [str(number) for number in range(1, 11)]
    splitter, alphabet = _pieces(), set(ByteLevel.alphabet())
    texts = (*_texts(), *listed)
    pieces = {piece for text in texts for piece, _ in splitter.pre_tokenize_str(text)}
    return [*sorted(alphabet), *sorted(pieces - alphabet)]


def build() -> Any:
    """The tokenizer, as transformers loads it."""
    from tokenizers import Tokenizer, decoders, models
    from transformers import PreTrainedTokenizerFast

    vocab = {piece: number for number, piece in enumerate((*SPECIAL, *vocabulary()))}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[], ignore_merges=True))
    tokenizer.pre_tokenizer = _pieces()
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        additional_special_tokens=[SYSTEM, USER, ASSISTANT, FEEDBACK_TOKEN, REFINEMENT_TOKEN],
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def _pieces() -> pre_tokenizers.PreTokenizer:
    from tokenizers import Regex, pre_tokenizers
    from tokenizers.pre_tokenizers import ByteLevel

    split = pre_tokenizers.Split(Regex(_PIECE), "isolated")
    return pre_tokenizers.Sequence([split, ByteLevel(add_prefix_space=False, use_regex=False)])


def _texts() -> list[str]:
    """Instructions of all wordings, right responses, and feedback on right and wrong ones."""
    texts = []
    for name in FAMILIES:
        tasks = [
            *sample("train", name, _TEXTS_PER_FAMILY, seed=0),
            *sample("train", name, _TEXTS_PER_FAMILY // 4, seed=0, held_out_wordings=True),
        ]
        right = [answer(task) for task in tasks]
        shifted = [*right[1:], right[0]]  # another task's response: mostly wrong
        for task, good, other in zip(tasks, right, shifted, strict=True):
            texts += [task.instruction, good, critic.feedback(task, good)]
            texts.append(critic.feedback(task, other))
            texts.append(critic.refinement(task, other))
    return texts
