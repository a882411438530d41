"""Removes stop strings from a completion; text is withheld while it may begin one.

Engines stop at a stop string, but do not report which tokens belong to it, and a prompt that
continues the token sequence has to leave exactly those out. So engines with token ids keep stop
strings in their text, and they are removed here, text and tokens.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Released:
    """Text that is not part of a stop string, and exactly its tokens. ``fragment`` follows it: the
    beginning of a token whose end belongs to the stop string."""

    text: str = ""
    token_ids: tuple[int, ...] = ()
    fragment: str = ""


class StopStrings:
    """Filters one completion. ``found`` is set at the first stop string; no text after it is
    released."""

    def __init__(self, stop: tuple[str, ...]) -> None:
        self._stop = tuple(s for s in stop if s)
        self._beginnings = {s[:size] for s in self._stop for size in range(1, len(s))}
        self._held: list[tuple[str, tuple[int, ...]]] = []
        self._textless: tuple[int, ...] = ()
        self.found = False

    def push(self, text: str, token_ids: tuple[int, ...]) -> Released:
        """Add the next piece of text and its tokens; return what can be released."""
        # Tokens without text are the first bytes of a character that a later token completes.
        token_ids = (*self._textless, *token_ids)
        self._textless = () if text else token_ids
        if not text:
            return Released()
        if not self._stop:
            return Released(text, token_ids)
        self._held.append((text, token_ids))
        held = "".join(text for text, _ in self._held)
        starts = [at for s in self._stop if (at := held.find(s)) >= 0]
        if not starts:
            return self._release(len(held) - self._longest_beginning(held))
        self.found = True
        released = self._release(min(starts))
        self._held.clear()
        return Released(released.text, released.token_ids, held[len(released.text) : min(starts)])

    def flush(self) -> Released:
        """Release the withheld text when the completion has ended."""
        text = "".join(text for text, _ in self._held)
        ids = tuple(i for _, ids in self._held for i in ids)
        self._held.clear()
        return Released(text, ids)

    def _release(self, length: int) -> Released:
        """The held pieces that end within the first ``length`` characters."""
        text, count = "", 0
        ids: list[int] = []
        for piece, piece_ids in self._held:
            if len(text) + len(piece) > length:
                break
            text += piece
            ids.extend(piece_ids)
            count += 1
        del self._held[:count]
        return Released(text, tuple(ids))

    def _longest_beginning(self, held: str) -> int:
        """How much of the end of ``held`` could be the beginning of a stop string."""
        longest = min(len(held), max(map(len, self._stop)) - 1)
        for size in range(longest, 0, -1):
            if held[-size:] in self._beginnings:
                return size
        return 0
