"""A scripted model that writes on through the markers, as one trained on whole sequences does.

    engine = writer(Story(drafts=("Lyon",), feedbacks=(feedback(3),), refinements=("Paris",)))

What it writes depends on all that it has read and written, and on nothing else: so the same, be it
asked for each phase or for all of them at once.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

from redraft.server.engine.base import Sampling
from redraft.server.engine.script import Say
from redraft.server.engine.scripted_engine import ScriptedEngine
from tests.support.loops import FORMAT

FEEDBACK, REFINEMENT = FORMAT.feedback.ids[0], FORMAT.refinement.ids[0]


@dataclass(frozen=True)
class Story:
    """The texts of each phase, of which one is chosen by what came before it. A text with
    ``ENDS`` is followed by the end of text rather than by a marker."""

    drafts: tuple[str, ...]
    feedbacks: tuple[str, ...]
    refinements: tuple[str, ...]


ENDS = "."


def writer(story: Story, **options: Any) -> ScriptedEngine:
    def reply(prompt: str, sampling: Sampling) -> Say:
        return _written(story, prompt)

    return ScriptedEngine(reply=reply, **options)


def _written(story: Story, prompt: str) -> Say:
    """All that follows a prompt, to the end of its last phase."""
    if f"<|{REFINEMENT}|>" in prompt:
        return Say(_chosen(story.refinements, prompt))
    begun = f"<|{FEEDBACK}|>" in prompt
    text = _chosen(story.feedbacks if begun else story.drafts, prompt)
    if text.endswith(ENDS):
        return Say(text)
    marker = REFINEMENT if begun else FEEDBACK
    rest = _written(story, f"{prompt}{text}<|{marker}|>")
    return Say(text, more=((marker, rest.text), *rest.more))


def _chosen(texts: tuple[str, ...], prompt: str) -> str:
    return texts[zlib.crc32(prompt.encode()) % len(texts)]
