"""Notices a text that repeats one passage again and again: a small model does so until its limit.

The text is looked at rather than its tokens, so that all engines are treated alike; vLLM has a
stop of its own, which costs its scheduler 20 microseconds for each token.
"""

from __future__ import annotations

LONGEST = 400  # characters of a passage
TIMES = 4  # that a long one is written; a short one fills as much text as LONGEST
LOOK_EVERY = 64  # characters
_PROBE = 40  # characters by which a passage is found again


class Repetition:
    """Watches one text."""

    def __init__(self) -> None:
        self._tail = ""
        self._unseen = 0

    def add(self, text: str) -> bool:
        """Whether the text ends in repetition, with this piece."""
        self._tail += text
        self._unseen += len(text)
        if self._unseen < LOOK_EVERY:
            return False
        self._unseen = 0
        self._tail = self._tail[-LONGEST * TIMES :]
        return _repeats(self._tail)


def _repeats(text: str) -> bool:
    """Whether the end of ``text`` is one passage, ``TIMES`` and for ``LONGEST`` characters."""
    probe, end = text[-_PROBE:], len(text) - 1
    while (place := text.rfind(probe, 0, end)) >= 0:
        passage = len(text) - _PROBE - place
        span = max(LONGEST, TIMES * passage)
        if passage > LONGEST or span > len(text):
            return False
        if text[-span:-passage] == text[passage - span :]:
            return True
        end = place + _PROBE - 1
    return False
