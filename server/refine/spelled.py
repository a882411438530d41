"""Log probabilities of a completion's tokens, released with the text that the tokens spell."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from redraft.server.engine.base import Json


class Spelled:
    """Of one completion. Engines withhold text that may be the beginning of a stop string, and send
    the entries of its tokens all the same; these are of the text only when their text comes.

    Where the tokens spell something else than the text, all entries are released as they come."""

    def __init__(self) -> None:
        self._waiting: deque[Json] = deque()
        self._text = ""  # whose entries are still to come
        self._differs = False

    def add(self, text: str, entries: Sequence[Json]) -> tuple[Json, ...]:
        """The entries that can be released."""
        if self._differs:
            return tuple(entries)
        self._text += text
        self._waiting += entries
        released: list[Json] = []
        while self._waiting and self._text.startswith(token := self._waiting[0]["token"]):
            released.append(self._waiting.popleft())
            self._text = self._text[len(token) :]
        if self._waiting and not self._waiting[0]["token"].startswith(self._text):
            self._differs = True
            released += self._waiting
            self._waiting.clear()
        return tuple(released)

    def rest(self) -> tuple[Json, ...]:
        """At the end of the text: the entry of a token that goes on beyond it, as far as it is in
        it. What follows belongs to a stop string."""
        if not (self._text and self._waiting):
            return ()
        begun = {"token": self._text, "bytes": list(self._text.encode())}
        return ({**self._waiting[0], **begun},)
