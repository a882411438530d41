"""Reads feedback: an engine's, which must have the components its model was taught, or the
caller's, which may be any text."""

from __future__ import annotations

from collections.abc import Sequence

from redraft.server.refine.srt_format import (
    COMPONENTS,
    SUGGESTIONS,
    WEAKNESSES,
    FormatError,
    parse_score,
    parse_sections,
)
from redraft.server.refine.trace import Feedback, ResponseText


def read_feedback(written: ResponseText, components: Sequence[str] = COMPONENTS) -> Feedback:
    """Feedback an engine wrote; FormatError when it is malformed. A score is required, and used,
    only where ``components`` has it."""
    score = parse_score(written.text) if "score" in components else None
    weaknesses, suggestions = parse_sections(written.text)
    if score is None and not (weaknesses or suggestions):
        raise FormatError(f"neither '{WEAKNESSES}' nor '{SUGGESTIONS}' in feedback")
    return Feedback(
        written.text,
        written.token_ids,
        written.source,
        score,
        weaknesses,
        suggestions,
        written.thought,
    )


def callers_feedback(text: str) -> Feedback:
    """Feedback the caller wrote."""
    try:
        return read_feedback(ResponseText(text))
    except FormatError:
        return Feedback(text)
