"""Running the loop on a scripted engine, for tests about the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, TypeVar

from redraft.server.engine.scripted_engine import ScriptedEngine
from redraft.server.engine.words import END_OF_TEXT, Words
from redraft.server.refine.asking import Asker, PromptedAsker, SrtAsker
from redraft.server.refine.events import Event, Finished
from redraft.server.refine.loop import Brief, refine
from redraft.server.refine.policy import Policy
from redraft.server.refine.srt_format import (
    PLAIN_FEEDBACK,
    PLAIN_REFINEMENT,
    Marker,
    SrtFormat,
    render_feedback,
)
from redraft.server.refine.trace import Trace

FORMAT = SrtFormat(
    feedback=Marker("<|feedback|>", (900,)),
    refinement=Marker("<|refinement|>", (901,)),
    eos_ids=(END_OF_TEXT,),
)
IN_WORDS = SrtFormat(  # as for a tokenizer that has no markers of its own
    feedback=Marker(PLAIN_FEEDBACK, Words().encode(PLAIN_FEEDBACK)),
    refinement=Marker(PLAIN_REFINEMENT, Words().encode(PLAIN_REFINEMENT)),
    eos_ids=(END_OF_TEXT,),
)
WITHOUT_SCORE = replace(FORMAT, components=("weaknesses", "suggestions"))
QUESTION = Brief.text("Capital of France?")
T = TypeVar("T")


def feedback(score: int, weaknesses: str = "It is wrong.", suggestions: str = "Fix it.") -> str:
    return render_feedback(weaknesses, suggestions, score)


def asker(
    engine: ScriptedEngine,
    brief: Brief = QUESTION,
    style: str = "srt",
    srt_format: SrtFormat = FORMAT,
) -> Asker:
    if style == "srt":
        return SrtAsker(engine, srt_format, brief.instruction)
    return PromptedAsker(engine, brief.instruction)


async def gather(
    engine: ScriptedEngine,
    policy: Policy,
    brief: Brief = QUESTION,
    style: str = "srt",
    srt_format: SrtFormat = FORMAT,
    **more: Any,
) -> list[Event]:
    asked = asker(engine, brief, style, srt_format)
    return [event async for event in refine(asked, brief, policy, **more)]


def run(work: Coroutine[Any, Any, T]) -> T:
    """Like asyncio.run, but a loop that hangs fails its test rather than the whole run."""

    async def bounded() -> T:
        return await asyncio.wait_for(work, 120)

    return asyncio.run(bounded())


def trace_of(events: list[Event]) -> Trace:
    last = events[-1]
    assert isinstance(last, Finished)
    return last.trace


def answer_to(*script: Any, **options: Any) -> Trace:
    """The trace of one loop over a script of replies."""
    brief = options.pop("brief", QUESTION)
    style = options.pop("style", "srt")
    return trace_of(run(gather(ScriptedEngine(*script), Policy(**options), brief, style)))
