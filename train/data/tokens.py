"""Text to token ids, exactly as the server does it, and the SRT format of a tokenizer.

Message content is text, whatever it spells: a special token written out in it must not become
one, or an instruction could forge a phase. The server's own code encodes it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from redraft.server.engine.base import Message
from redraft.server.options import ConfigError
from redraft.server.refine.manifest import tokenizer_sha256
from redraft.server.refine.srt_format import (
    FEEDBACK_TOKEN,
    PLAIN_FEEDBACK,
    PLAIN_REFINEMENT,
    REFINEMENT_TOKEN,
    Marker,
    SrtFormat,
)

if TYPE_CHECKING:
    from redraft.server.engine.vllm_engine.prompts import Prompts


@dataclass(frozen=True)
class Tokenizer:
    """A tokenizer loaded by transformers that encodes as the server does."""

    loaded: Any  # transformers' PreTrainedTokenizerBase, which is not typed
    fingerprint: str  # token ids are valid only for the tokenizer they came from

    @cached_property
    def _prompts(self) -> Prompts:
        from redraft.server.engine.vllm_engine.prompts import Prompts  # needs jinja2, tokenizers

        return Prompts(self.loaded, None)

    def encode(self, text: str) -> tuple[int, ...]:
        """The tokens of ``text``, no special tokens added, none recognised."""
        return tuple(self._prompts.encode(text))

    def sampled(self, text: str, ids: tuple[int, ...], fingerprint: str) -> tuple[int, ...]:
        """The ids a text was sampled as, where they are this tokenizer's; else its encoding."""
        return ids if ids and fingerprint == self.fingerprint else self.encode(text)

    def encode_chat(self, messages: Iterable[Message]) -> tuple[int, ...]:
        """The tokens of the chat up to where the assistant's next words begin."""
        return tuple(self._prompts.encode_chat(tuple(messages)))

    def decode(self, ids: Iterable[int], special: bool = False) -> str:
        return str(self.loaded.decode(list(ids), skip_special_tokens=not special))

    def srt_format(self, eos_ids: Iterable[int] = ()) -> SrtFormat:
        """Special tokens as markers where the tokenizer has them, plain text otherwise.

        Its own end of text comes first of ``eos_ids``: that is the one trained on."""
        special = self.loaded.get_added_vocab()
        plain = (PLAIN_FEEDBACK, PLAIN_REFINEMENT)
        feedback, refinement = (Marker(text, self.encode(text)) for text in plain)
        if FEEDBACK_TOKEN in special and REFINEMENT_TOKEN in special:
            feedback = Marker(FEEDBACK_TOKEN, (special[FEEDBACK_TOKEN],))
            refinement = Marker(REFINEMENT_TOKEN, (special[REFINEMENT_TOKEN],))
        if self.loaded.eos_token_id is None:
            raise ConfigError("the tokenizer has no end-of-text token; set eos_token in its config")
        own = int(self.loaded.eos_token_id)
        others = tuple(sorted(set(eos_ids) - {own}))
        return SrtFormat(feedback, refinement, (own, *others))


def load(model: Path | str) -> Tokenizer:
    """The tokenizer of a model, by folder or name."""
    from transformers import AutoTokenizer

    path = Path(model)
    fingerprint = tokenizer_sha256(path) if path.is_dir() else str(model)
    return Tokenizer(AutoTokenizer.from_pretrained(str(model)), fingerprint)


def weights_fingerprint(directory: Path) -> str:
    """Changes when the weights do. Samples of each file: all of 140 GB would take minutes."""
    digest = hashlib.sha256()
    for file in sorted(directory.glob("*.safetensors")):
        size = file.stat().st_size
        with file.open("rb") as content:
            for at in range(0, size, max(1 << 20, size // 64)):
                content.seek(at)
                digest.update(content.read(1 << 16))
        digest.update(f"{file.name}/{size}".encode())
    return digest.hexdigest()[:16]
