"""Reasoning: drafts, feedback and hidden refinements as one readable text for chat clients.

Streams build it from the loop's events, other answers from the trace; the text is the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from redraft.server.api.schema.answers import ChatAnswerMessage
from redraft.server.config import ReasoningField
from redraft.server.refine.events import (
    CandidateDone,
    Delta,
    DraftDone,
    Event,
    FeedbackDone,
    PhaseStarted,
    Thought,
    ToolCallsDelta,
)
from redraft.server.refine.trace import Candidate, Feedback, Phase, ResponseText, Trace

# Clients of vLLM and OpenRouter read the first, those of DeepSeek and SGLang the second.
FIELDS: Mapping[ReasoningField, Sequence[Literal["reasoning", "reasoning_content"]]] = {
    "both": ("reasoning", "reasoning_content"),
    "reasoning": ("reasoning",),
    "reasoning_content": ("reasoning_content",),
}
THINK, END_THINK = "<think>\n", "\n</think>\n\n"


class ReasoningText:
    """The text so far; ``add`` returns what an event adds to it. Without refinement (``refines``)
    it is the thoughts alone."""

    def __init__(self, refines: bool = True) -> None:
        self._refines = refines
        self._thinking: tuple[Phase, int] | None = None  # the phase whose thoughts have a heading
        self._heading = ""  # of the current phase, until its text begins
        self._begun = False
        self._streamed = False  # the current phase has deltas
        self._seen: int | None = None  # the candidate whose deltas they are
        self._ranking: list[Feedback] = []  # feedback shown with the drafts it ranks

    def add(self, event: Event) -> str:
        if not self._refines:
            return event.text if isinstance(event, Thought) else ""
        match event:
            case Thought(phase=phase, iteration=iteration, text=text):
                if (place := (phase, iteration)) == self._thinking:
                    return text
                self._thinking = place
                heading = _thoughts(phase, iteration)
                if self._seen is not None:
                    heading = f"Thoughts {_name(iteration, self._seen)}"
                return self._under(heading, text)
            case ToolCallsDelta():
                self._streamed = True
            case PhaseStarted(phase=phase, iteration=iteration, candidate=candidate):
                self._heading, self._streamed = _heading(phase, iteration), False
                self._thinking, self._seen = None, candidate
                if candidate is not None:
                    self._heading = _name(iteration, candidate)
            case Delta(live=live, text=text):
                self._streamed = True
                if live:
                    return ""
                heading, self._heading = self._heading, ""
                return self._under(heading, text) if heading else text
            case DraftDone(candidate=written, index=index):
                return self._written(0, written, index)
            case CandidateDone(iteration=iteration, candidate=written, index=index):
                return self._written(iteration, written, index)
            case FeedbackDone(iteration=iteration, feedback=feedback):
                return self._ready_feedback(iteration, feedback)
        return ""

    def _written(self, iteration: int, candidate: Candidate, index: int) -> str:
        """What has not been seen yet of one of several responses."""
        name, text = _name(iteration, index), ""
        if not (self._streamed and index == 0):
            if candidate.response.thought:
                text = self._under(f"Thoughts {name}", candidate.response.thought)
            text += self._under(name, candidate.response.text)
        if candidate.feedback:
            self._ranking.append(candidate.feedback)
            about = name[0].lower() + name[1:]
            text += self._under(f"Feedback on {about}", candidate.feedback.text)
        return text

    def _ready_feedback(self, iteration: int, feedback: Feedback) -> str:
        """Feedback without a phase: the caller's, or that of the draft that was picked."""
        streamed, self._streamed = self._streamed, False
        ranked = any(feedback is each for each in self._ranking)
        if streamed and feedback.votes and feedback.text != feedback.votes[0].text:
            return self._under(_voted(feedback), feedback.text)
        if (streamed and feedback.source) or ranked or not feedback.text:
            return ""
        return self._under(_heading("feedback", iteration), feedback.text)

    def _under(self, heading: str, text: str) -> str:
        gap = "\n\n" if self._begun else ""
        self._begun = True
        return f"{gap}**{heading}**\n\n{text}"


def add_to(
    message: ChatAnswerMessage,
    trace: Trace,
    shown: ReasoningField,
    refines: bool = True,
    notes: Sequence[str] = (),
) -> None:
    """Add the reasoning to a chat message that has the answer alone, notes about it first."""
    text = reasoning_of(trace) if refines else trace.answer.thought
    if not (refines or text):
        return
    if notes:
        text = f"{note(notes)}\n\n{text}"
    if shown == "inline_think":
        message["content"] = f"{THINK}{text}{END_THINK}{trace.answer.text}"
    elif names := FIELDS.get(shown):
        for name in names:
            message[name] = text


def note(notes: Sequence[str]) -> str:
    return f"Note: {'; '.join(notes)}."


def reasoning_of(trace: Trace) -> str:
    """Everything the loop wrote before the answer."""
    text = ReasoningText()
    return "".join(text.add(event) for event in _as_events(trace))


def _as_events(trace: Trace) -> Iterator[Event]:
    if len(trace.drafts) == 1:
        yield from _phase("draft", 0, trace.draft)
    else:
        yield from (DraftDone(draft, index) for index, draft in enumerate(trace.drafts))
    populations = (trace.drafts, *(iteration.candidates for iteration in trace.iterations))
    ranking = [c.feedback for candidates in populations for c in candidates if c.feedback]
    for number, iteration in enumerate(trace.iterations, start=1):
        feedback = iteration.feedback
        if feedback.source and all(feedback is not ranked for ranked in ranking):
            seen = feedback.votes[0] if feedback.votes else feedback
            yield from _phase("feedback", number, seen)
        yield FeedbackDone(number, feedback)
        if iteration.candidates:
            yield from (CandidateDone(number, c, i) for i, c in enumerate(iteration.candidates))
            continue
        last = number == len(trace.iterations) and trace.kept == len(trace.responses) - 1
        if iteration.refinement is not None:
            yield from _phase("refinement", number, iteration.refinement, shown=not last)


def _phase(
    phase: Phase, iteration: int, written: ResponseText | Feedback, shown: bool = True
) -> Iterator[Event]:
    """``shown``: its text is part of the reasoning, as thoughts are anyway."""
    yield PhaseStarted(phase, iteration)
    if written.thought:
        yield Thought(phase, iteration, written.thought)
    if written.text and shown:
        yield Delta(phase, iteration, written.text)


def _thoughts(phase: Phase, iteration: int) -> str:
    return "Thoughts" if phase == "draft" else f"Thoughts on {_heading(phase, iteration).lower()}"


def _name(iteration: int, index: int) -> str:
    """Of one of several responses."""
    return f"Candidate {index + 1} of iteration {iteration}" if iteration else f"Draft {index + 1}"


def _voted(feedback: Feedback) -> str:
    """The first vote is seen while it is written; this is the one that was followed."""
    scores = ", ".join("void" if v.score is None else str(v.score) for v in feedback.votes)
    return f"Feedback in the middle of {len(feedback.votes)} votes ({scores})"


def _heading(phase: Phase, iteration: int) -> str:
    return phase.capitalize() + (f" {iteration}" if iteration > 1 else "")
