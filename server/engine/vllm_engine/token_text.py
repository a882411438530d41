"""Token ids to text, each token with its own text.

Later phases continue the token ids of a completion, so the ids that are handed out must be exactly
those of the text: no bytes of an incomplete character, no part of a stop string.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream


class TokenText:
    """The text of one completion as its tokens arrive."""

    def __init__(self, tokenizer: Tokenizer, prompt: Iterable[int]) -> None:
        self._tokenizer = tokenizer
        # The prompt's last tokens decide whether the first new token starts with a space.
        self._stream = DecodeStream(ids=list(prompt), skip_special_tokens=True)
        self._open: list[int] = []  # tokens without text so far: part of a character, or special
        self._ready: deque[tuple[str, tuple[int, ...]]] = deque()
        self.num_chars = 0  # handed out

    def add(self, ids: Iterable[int]) -> None:
        for token_id in ids:
            self._open.append(token_id)
            if text := self._step(token_id):
                self._ready.append((text, tuple(self._open)))
                self._open.clear()

    def take(self, end: int | None = None) -> tuple[str, tuple[int, ...]]:
        """What is ready, up to the character ``end`` of the completion; None: all of it."""
        text: list[str] = []
        ids: list[int] = []
        while self._ready and (end is None or self.num_chars + len(self._ready[0][0]) <= end):
            piece, piece_ids = self._ready.popleft()
            text.append(piece)
            ids.extend(piece_ids)
            self.num_chars += len(piece)
        return "".join(text), tuple(ids)

    def cut(self, end: int, encode: Callable[[str], list[int]]) -> tuple[str, tuple[int, ...]]:
        """The rest of a completion that a stop string ends at the character ``end``.

        A token may contain the end of the text and the start of the stop string; its part of the
        text is encoded again.
        """
        text, ids = self.take(end)
        if self._ready and (rest := self._ready[0][0][: end - self.num_chars]):
            self.num_chars += len(rest)
            return text + rest, (*ids, *encode(rest))
        return text, ids

    def _step(self, token_id: int) -> str | None:
        try:
            return self._stream.step(self._tokenizer, token_id)
        except Exception as error:  # tokenizers raises nothing narrower
            if not str(error).startswith("Invalid prefix"):
                raise
            # Bytes that are not UTF-8 can invalidate the stream's prefix; start a new stream.
            self._stream = DecodeStream(skip_special_tokens=True)
            return self._stream.step(self._tokenizer, token_id)
