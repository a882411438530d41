"""The scripted engine's tokenizer: a token is a word with the space before it.

Ids are the same in every process and decode to the words they came from. Text never encodes to a
special token, whatever it spells.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterable

from redraft.server.engine.base import Message

END_OF_TEXT, END_OF_MESSAGE, OTHER_ROLE = 0, 1, 5
_ROLES = {"system": 2, "user": 3, "assistant": 4}
_SPECIAL = {
    END_OF_TEXT: "<|end|>",
    END_OF_MESSAGE: "\n",
    OTHER_ROLE: "<|other|>\n",
    **{token: f"<|{role}|>\n" for role, token in _ROLES.items()},
}
_FIRST_WORD = 1000  # smaller ids are special tokens, ours and a test's own
_WORD = re.compile(r"\s*\S+|\s+")


class Words:
    """Every word seen so far, by id."""

    def __init__(self) -> None:
        self._text: dict[int, str] = dict(_SPECIAL)
        self._id: dict[str, int] = {}

    def split(self, text: str) -> list[str]:
        return _WORD.findall(text)

    def encode(self, text: str) -> tuple[int, ...]:
        return self.ids(self.split(text))

    def ids(self, words: Iterable[str]) -> tuple[int, ...]:
        get = self._id.get
        return tuple([get(word) or self._learn(word) for word in words])

    def decode(self, ids: Iterable[int]) -> str:
        get = self._text.get
        return "".join([get(token) or f"<|{token}|>" for token in ids])

    def text_of(self, token: int) -> str:
        """The word of a token; a special token has none."""
        return self._text[token] if token >= _FIRST_WORD else ""

    def _learn(self, word: str) -> int:
        token = _FIRST_WORD + zlib.crc32(word.encode("utf-8", "surrogatepass"))
        while self._text.get(token, word) != word:  # another word has the same checksum
            token += 1
        self._text[token], self._id[word] = word, token
        return token

    def chat(self, messages: tuple[Message, ...]) -> tuple[int, ...]:
        """Each message between its role and an end of message, then the assistant's role."""
        ids: list[int] = []
        for message in messages:
            ids += (_ROLES.get(message.role, OTHER_ROLE), *self.encode(_text(message)))
            ids.append(END_OF_MESSAGE)
        return (*ids, _ROLES["assistant"])


def _text(message: Message) -> str:
    calls = (message.wire or {}).get("tool_calls")
    return message.content + (f" {json.dumps(calls)}" if calls else "")
