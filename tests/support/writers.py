"""A scripted model that writes on through the markers, as one trained on whole sequences does.

    engine = writer(Story(drafts=("Lyon",), feedbacks=(feedback(3),), refinements=("Paris",)))

What it writes depends on all that it has read and written, and on nothing else: so the same, be it
asked for each phase or for all of them at once.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

from redraft.server.engine.base import Mark, Sampling
from redraft.server.engine.script import Say
from redraft.server.engine.scripted_engine import ScriptedEngine
from redraft.server.refine.srt_format import SrtFormat
from tests.support.loops import FORMAT, run

FEEDBACK, REFINEMENT = FORMAT.feedback.ids, FORMAT.refinement.ids


@dataclass(frozen=True)
class Story:
    """The texts of each phase, of which one is chosen by what came before it. A text with
    ``ENDS`` is followed by the end of text rather than by a marker."""

    drafts: tuple[str, ...]
    feedbacks: tuple[str, ...]
    refinements: tuple[str, ...]


ENDS = "."


def writer(
    story: Story,
    srt_format: SrtFormat = FORMAT,
    kind: type[ScriptedEngine] = ScriptedEngine,
    **options: Any,
) -> ScriptedEngine:
    def reply(prompt: str, sampling: Sampling) -> Say:
        return _written(story, prompt, feedback, refinement)

    engine = kind(reply=reply, **options)
    for marker in (srt_format.feedback, srt_format.refinement):
        run(engine.encode(marker.text))  # the words of a marker that has some
    feedback, refinement = (
        (marker.ids, engine.decode(marker.ids))
        for marker in (srt_format.feedback, srt_format.refinement)
    )
    return engine


Shown = tuple[Mark, str]  # a marker, and how a prompt shows it


def _written(story: Story, prompt: str, feedback: Shown, refinement: Shown) -> Say:
    """All that follows a prompt, to the end of its last phase."""
    if refinement[1] in prompt:
        return Say(_chosen(story.refinements, prompt))
    begun = feedback[1] in prompt
    text = _chosen(story.feedbacks if begun else story.drafts, prompt)
    if text.endswith(ENDS):
        return Say(text)
    mark, shown = refinement if begun else feedback
    rest = _written(story, f"{prompt}{text}{shown}", feedback, refinement)
    return Say(text, more=((mark, rest.text), *rest.more))


def _chosen(texts: tuple[str, ...], prompt: str) -> str:
    return texts[zlib.crc32(prompt.encode()) % len(texts)]
