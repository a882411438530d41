"""The chunks of a streamed completion: the answer alone, as this API has no field for reasoning."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from redraft.server.api import instruction, logprobs, outcome
from redraft.server.api.decide import Decision
from redraft.server.api.running_usage import RunningUsage
from redraft.server.api.schema.answers import (
    CompletionChoice,
    Head,
    RefineOutcome,
    TextCompletion,
    UsageAnswer,
)
from redraft.server.api.sse import DONE, data
from redraft.server.engine.base import FinishReason
from redraft.server.refine.events import Delta, Event, Finished
from redraft.server.refine.trace import Trace


def completion_of(head: Head, choices: list[CompletionChoice]) -> TextCompletion:
    return {
        "id": head["id"],
        "object": "text_completion",
        "created": head["created"],
        "model": head["model"],
        "choices": choices,
    }


def choice_of(
    index: int,
    text: str,
    finish_reason: FinishReason | None,
    probabilities: dict[str, Any] | None,
) -> CompletionChoice:
    return {"index": index, "text": text, "logprobs": probabilities, "finish_reason": finish_reason}


class TextStream:
    def __init__(
        self,
        head: Head,
        decision: Decision,
        include_usage: bool,
        running: RunningUsage | None = None,  # to have the usage so far on every chunk
        choice: int | None = None,  # the index of one of several choices
    ) -> None:
        self._head, self._decision = head, decision
        self._include_usage, self._running = include_usage, running
        self._index, self._alone = choice or 0, choice is None
        self._offset = 0  # characters sent
        self.trace: Trace | None = None  # at the end

    async def chunks(self, events: AsyncGenerator[Event, None]) -> AsyncGenerator[bytes, None]:
        answered = False
        with instruction.came_in("prompt"):
            async with aclosing(events):
                async for event in events:
                    if self._running is not None:
                        self._running.add(event)
                    match event:
                        case Delta(live=True, text=text, logprobs=entries):
                            answered = True
                            yield self._chunk(text, entries)
                        case Finished(trace=trace):
                            self.trace = trace
                            refine = outcome.outcome_of(trace, self._decision.trace)
                            text, entries = trace.answer.text, trace.answer.logprobs
                            if answered:
                                text, entries = "", ()
                            yield self._chunk(text, entries, trace.answer.finish_reason, refine)
                            if self._alone:
                                yield self.ending(outcome.usage_of(trace))

    def failed(self, failure: Exception) -> bytes:
        """The last chunk of a choice that has failed."""
        return self._chunk("", (), "length", outcome.failed(failure))

    def ending(self, usage: UsageAnswer) -> bytes:
        """What comes after the last choice."""
        if not self._include_usage:
            return DONE
        chunk = completion_of(self._head, [])
        chunk["usage"] = usage
        return data(chunk) + DONE

    def _chunk(
        self,
        text: str,
        entries: Sequence[logprobs.Entry],
        finish_reason: FinishReason | None = None,
        refine: RefineOutcome | None = None,
    ) -> bytes:
        probabilities = logprobs.of_text(entries, self._offset)
        self._offset += len(text)
        choice = choice_of(self._index, text, finish_reason, probabilities)
        chunk = completion_of(self._head, [choice])
        if refine is not None:
            chunk["refine"] = refine
        if self._running is not None:
            chunk["usage"] = self._running.so_far()
        return data(chunk)
