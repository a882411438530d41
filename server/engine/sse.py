"""Server-sent events, read from the bytes of an answer as they arrive."""

from __future__ import annotations

_BLANK_LINES = (b"\n\n", b"\n\r\n")
DONE = b"[DONE]"  # the data of the last event of an OpenAI stream


class EventReader:
    """Joins the pieces of an answer and takes the data of its events out."""

    def __init__(self) -> None:
        self._unfinished = b""

    @property
    def num_unfinished(self) -> int:
        """Bytes of the line that has not ended yet."""
        return len(self._unfinished)

    def read(self, piece: bytes) -> list[bytes]:
        """The data of the events that end in this piece."""
        *lines, self._unfinished = (self._unfinished + piece).split(b"\n")
        return [line[5:].strip() for line in lines if line.startswith(b"data:")]


class WholeEvents:
    """Cuts the bytes of an answer where its events end, so that none is passed on by half."""

    def __init__(self) -> None:
        self._unfinished = b""

    @property
    def num_unfinished(self) -> int:
        """Bytes of the event that has not ended yet."""
        return len(self._unfinished)

    def read(self, piece: bytes) -> bytes:
        """The events that end in this piece, with what came of them before."""
        held = self._unfinished + piece
        ends = [held.rfind(blank) + len(blank) for blank in _BLANK_LINES if blank in held]
        end = max(ends, default=0)
        self._unfinished = held[end:]
        return held[:end]
