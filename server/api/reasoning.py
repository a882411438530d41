"""Reasoning: drafts, feedback and hidden refinements as one readable text for chat clients.

Streams build it from the loop's events, other answers from the trace; the text is the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from redraft.server.api.schema.answers import ChatAnswerMessage
from redraft.server.config import ReasoningField
from redraft.server.refine.events import Delta, DraftDone, Event, FeedbackDone, PhaseStarted
from redraft.server.refine.trace import Candidate, Feedback, Phase, Trace

# Clients of vLLM and OpenRouter read the first, those of DeepSeek and SGLang the second.
FIELDS: Mapping[ReasoningField, Sequence[Literal["reasoning", "reasoning_content"]]] = {
    "both": ("reasoning", "reasoning_content"),
    "reasoning": ("reasoning",),
    "reasoning_content": ("reasoning_content",),
}
THINK, END_THINK = "<think>\n", "\n</think>\n\n"


class ReasoningText:
    """The text so far; ``add`` returns what an event adds to it."""

    def __init__(self) -> None:
        self._heading = ""  # of the current phase, until its text begins
        self._begun = False
        self._streamed = False  # the current phase has deltas
        self._ranking: list[Feedback] = []  # feedback shown with the drafts it ranks

    def add(self, event: Event) -> str:
        match event:
            case PhaseStarted(phase=phase, iteration=iteration):
                self._heading, self._streamed = _heading(phase, iteration), False
            case Delta(live=live, text=text):
                self._streamed = True
                if live:
                    return ""
                heading, self._heading = self._heading, ""
                return self._under(heading, text) if heading else text
            case DraftDone(candidate=candidate, index=index) if not self._streamed:
                return self._whole_draft(candidate, index + 1)
            case FeedbackDone(iteration=iteration, feedback=feedback):
                return self._ready_feedback(iteration, feedback)
        return ""

    def _whole_draft(self, candidate: Candidate, number: int) -> str:
        text = self._under(f"Draft {number}", candidate.response.text)
        if candidate.feedback:
            self._ranking.append(candidate.feedback)
            text += self._under(f"Feedback on draft {number}", candidate.feedback.text)
        return text

    def _ready_feedback(self, iteration: int, feedback: Feedback) -> str:
        """Feedback without a phase: the caller's, or that of the draft that was picked."""
        streamed, self._streamed = self._streamed, False
        ranked = any(feedback is each for each in self._ranking)
        if (streamed and feedback.source) or ranked or not feedback.text:
            return ""
        return self._under(_heading("feedback", iteration), feedback.text)

    def _under(self, heading: str, text: str) -> str:
        gap = "\n\n" if self._begun else ""
        self._begun = True
        return f"{gap}**{heading}**\n\n{text}"


def add_to(message: ChatAnswerMessage, trace: Trace, shown: ReasoningField) -> None:
    """Add the reasoning to a chat message that has the answer alone."""
    if shown == "inline_think":
        message["content"] = f"{THINK}{reasoning_of(trace)}{END_THINK}{trace.answer.text}"
    elif names := FIELDS.get(shown):
        text = reasoning_of(trace)
        for name in names:
            message[name] = text


def reasoning_of(trace: Trace) -> str:
    """Everything the loop wrote before the answer."""
    text = ReasoningText()
    return "".join(text.add(event) for event in _as_events(trace))


def _as_events(trace: Trace) -> Iterator[Event]:
    if len(trace.drafts) == 1:
        yield from _phase("draft", 0, trace.draft.text)
    else:
        yield from (DraftDone(draft, index) for index, draft in enumerate(trace.drafts))
    ranking = [draft.feedback for draft in trace.drafts if draft.feedback]
    for number, iteration in enumerate(trace.iterations, start=1):
        feedback = iteration.feedback
        if feedback.source and all(feedback is not ranked for ranked in ranking):
            yield from _phase("feedback", number, feedback.text)
        yield FeedbackDone(number, feedback)
        last = number == len(trace.iterations) and trace.kept == len(trace.responses) - 1
        if iteration.refinement is not None and not last:
            yield from _phase("refinement", number, iteration.refinement.text)


def _phase(phase: Phase, iteration: int, text: str) -> Iterator[Event]:
    yield PhaseStarted(phase, iteration)
    if text:
        yield Delta(phase, iteration, text)


def _heading(phase: Phase, iteration: int) -> str:
    return phase.capitalize() + (f" {iteration}" if iteration > 1 else "")
