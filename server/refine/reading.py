"""Reading feedback: an engine's, which must have a score, or a person's, which need not."""

from __future__ import annotations

from server.refine.srt_format import FormatError, parse_feedback
from server.refine.trace import Feedback, Response


def read_feedback(written: Response) -> Feedback:
    """Feedback an engine wrote; FormatError when it is malformed."""
    parts = parse_feedback(written.text)
    return Feedback(
        written.text,
        written.token_ids,
        written.source,
        parts.score,
        parts.weaknesses,
        parts.suggestions,
    )


def read_given(text: str) -> Feedback:
    """Feedback the caller wrote."""
    try:
        return read_feedback(Response(text))
    except FormatError:
        return Feedback(text)
