"""Prediction: the text that is expected of a call, of a draft what the caller says, of a refinement
the response it refines. An engine that speculates guesses from it, and the caller is told how much
of its prediction the answer has."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from redraft.server.engine.aligned_draft import AlignedDraft
from redraft.server.engine.base import Engine, EngineError, PromptTooLong
from redraft.server.refine.trace import Predicted, ResponseText


async def tokens_of(engine: Engine, text: str | None) -> tuple[int, ...] | None:
    """The tokens of a prediction; None where there is none or it is of no use, as one far longer
    than the engine's window."""
    if text is None or not engine.predicts:
        return None
    try:
        return await engine.encode(text)
    except PromptTooLong:
        return None


async def of_refinement(engine: Engine, response: ResponseText) -> tuple[int, ...]:
    """What a refinement is expected to be: the response, most of which it repeats."""
    if not engine.predicts:
        return ()
    own = response.token_ids if response.source == engine.name else ()
    return own or await tokens_of(engine, response.text) or ()


async def told(engine: Engine, expected: Sequence[int], answer: ResponseText) -> Predicted | None:
    """How much of what was expected the answer has; None where its tokens are not known."""
    ids = answer.token_ids if answer.source == engine.name else ()
    with suppress(EngineError):  # an answer needs no engine any more
        ids = ids or await engine.encode(answer.text)
        return await asyncio.to_thread(_counted, expected, ids)
    return None


def _counted(expected: Sequence[int], written: Sequence[int]) -> Predicted:
    aligned = AlignedDraft(expected)
    aligned.write(written)
    accepted = len(aligned.repeated)
    return Predicted(accepted, len(expected) - accepted)
