"""Text and chats to token ids, with no special token recognised in message content.

A chat template puts special tokens around content. Content that spells one out
(``<|feedback|>``) must stay text, or the writer of an instruction could forge a phase.
"""

from __future__ import annotations

import json
import re
import secrets
from typing import Any

from jinja2 import TemplateError
from tokenizers import Tokenizer

from redraft.server.engine.base import EngineError, EngineRefused, Message, PromptTooLong

SHORTEST_REFUSED = 100_000  # characters; encoding so many takes a tenth of a second


class Prompts:
    """Makes prompts for one tokenizer."""

    def __init__(self, tokenizer: Any, chat_template: str | None) -> None:
        """``tokenizer`` is the one transformers loads; it must be backed by a tokenizer.json."""
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if not isinstance(backend, Tokenizer):
            raise EngineError(
                f"the model's tokenizer is a {type(tokenizer).__name__}, token-exact phases need "
                f"one from tokenizer.json; try --tokenizer-mode hf"
            )
        self.tokenizer = backend
        self._template = chat_template
        self._chat = tokenizer
        added = {token.content: id for id, token in backend.get_added_tokens_decoder().items()}
        self._added = added
        by_length = sorted(added, key=len, reverse=True)  # the longest match wins, as in tokenizers
        self._spelled = re.compile("|".join(map(re.escape, by_length)) or r"(?!)")
        self._plain = _without_added_tokens(backend)
        self._longest = max(map(len, backend.get_vocab(with_added_tokens=True)))

    def check_length(self, characters: int, window: int) -> None:
        """Raise PromptTooLong for a text that cannot fit ``window`` tokens, without encoding it:
        megabytes take seconds to encode."""
        most = max(window * self._longest, SHORTEST_REFUSED)
        if characters > most:
            raise PromptTooLong(
                f"the prompt has {characters} characters, more than {window} tokens, the model's "
                f"window, can hold; shorten it"
            )

    def encode(self, text: str) -> list[int]:
        """The tokens of text, no special token recognised or added."""
        return _ids(self._plain, text)

    def encode_chat(self, messages: tuple[Message, ...]) -> list[int]:
        """The tokens of the chat, with the beginning of the assistant's next message."""
        hidden = _Hidden(self._spelled)
        rendered = self._render([_record(message, hidden) for message in messages])
        if not hidden.words:
            return _ids(self.tokenizer, rendered)
        return self._encode_with(rendered, hidden)

    def opening(self) -> list[int]:
        """The tokens every rendered chat ends with, before the assistant's words; empty if the
        template takes no single message."""
        try:
            chats = [self.encode_chat((Message("user", word),)) for word in ("a", "b")]
        except EngineRefused:  # a template that asks for more than one message
            return []
        alike = 0
        for one, other in zip(*map(reversed, chats), strict=False):
            if one != other:
                break
            alike += 1
        return chats[0][len(chats[0]) - alike :]

    def _render(self, records: list[dict[str, str]]) -> str:
        try:
            return str(
                self._chat.apply_chat_template(
                    records,
                    chat_template=self._template,
                    add_generation_prompt=True,
                    tokenize=False,
                )
            )
        except (TemplateError, ValueError) as error:
            raise EngineRefused(f"the model's chat template does not take this: {error}") from error

    def _encode_with(self, rendered: str, hidden: _Hidden) -> list[int]:
        """Encode as the tokenizer would: special tokens first, then the text between them."""
        ids: list[int] = []
        start = 0
        for match in self._spelled.finditer(rendered):
            ids += self.encode(hidden.reveal(rendered[start : match.start()]))
            ids.append(self._added[match[0]])
            start = match.end()
        return ids + self.encode(hidden.reveal(rendered[start:]))


class _Hidden:
    """Stand-ins for the special tokens that content spells out, while a template is rendered."""

    def __init__(self, spelled: re.Pattern[str]) -> None:
        self._spelled = spelled
        self._nonce = secrets.token_hex(8)  # so that no content can contain a stand-in
        self.words: list[str] = []

    def hide(self, text: str) -> str:
        return self._spelled.sub(self._stand_in, text)

    def reveal(self, text: str) -> str:
        pattern = rf"{self._nonce}x(\d+)x"
        return re.sub(pattern, lambda match: self.words[int(match[1])], text)

    def _stand_in(self, match: re.Match[str]) -> str:
        self.words.append(match[0])
        return f"{self._nonce}x{len(self.words) - 1}x"


def _record(message: Message, hidden: _Hidden) -> dict[str, str]:
    record = {"role": hidden.hide(message.role), "content": hidden.hide(message.content)}
    return record if message.name is None else {**record, "name": hidden.hide(message.name)}


def _ids(tokenizer: Tokenizer, text: str) -> list[int]:
    # A batch is encoded without the interpreter's lock, a single text is not.
    return list(tokenizer.encode_batch([text], add_special_tokens=False)[0].ids)


def _without_added_tokens(tokenizer: Tokenizer) -> Tokenizer:
    """A copy of the tokenizer with no special tokens: recognising them cannot be switched off for
    those that are not marked special, such as <think>."""
    content = json.loads(tokenizer.to_str())
    content["added_tokens"] = []
    content["post_processor"] = None  # it adds special tokens
    return Tokenizer.from_str(json.dumps(content))
