"""Events are the same however their bytes are cut into pieces."""

from __future__ import annotations

import pytest

from redraft.server.engine.sse import DONE, EventReader, WholeEvents

STREAM = (
    b': comment\r\nevent: x\r\ndata: {"a": 1}\r\n\r\ndata:{"b": "\xe2\x80\xa8"}\n\ndata: [DONE]\n\n'
)


@pytest.mark.parametrize("size", [1, 2, 7, len(STREAM)])
def test_events_do_not_depend_on_how_their_bytes_arrive(size: int) -> None:
    reader = EventReader()
    pieces = [STREAM[start : start + size] for start in range(0, len(STREAM), size)]
    events = [data for piece in pieces for data in reader.read(piece)]
    assert events == [b'{"a": 1}', b'{"b": "\xe2\x80\xa8"}', DONE]
    assert reader.num_unfinished == 0


def test_a_line_that_has_not_ended_is_no_event() -> None:
    reader = EventReader()
    assert reader.read(b"data: half") == []
    assert reader.num_unfinished == len(b"data: half")
    assert reader.read(b" and half\n") == [b"half and half"]


@pytest.mark.parametrize("size", [1, 2, 7, len(STREAM)])
def test_whole_events_are_passed_on_byte_for_byte(size: int) -> None:
    events, passed = WholeEvents(), []
    for start in range(0, len(STREAM), size):
        passed.append(events.read(STREAM[start : start + size]))
    assert b"".join(passed) == STREAM
    assert all(part.endswith((b"\n\n", b"\n\r\n")) for part in passed if part)
    assert events.read(b"data: half") == b""
    assert events.num_unfinished == len(b"data: half")
