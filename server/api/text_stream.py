"""The chunks of a streamed completion: the answer alone, as this API has no field for reasoning."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from redraft.server.api import instruction, outcome
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


def choice_of(index: int, text: str, finish_reason: FinishReason | None) -> CompletionChoice:
    return {"index": index, "text": text, "logprobs": None, "finish_reason": finish_reason}


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
        self.trace: Trace | None = None  # at the end

    async def chunks(self, events: AsyncGenerator[Event, None]) -> AsyncGenerator[bytes, None]:
        answered = False
        with instruction.came_in("prompt"):
            async with aclosing(events):
                async for event in events:
                    if self._running is not None:
                        self._running.add(event)
                    match event:
                        case Delta(live=True, text=text):
                            answered = True
                            yield self._chunk(text)
                        case Finished(trace=trace):
                            self.trace = trace
                            refine = outcome.outcome_of(trace, self._decision.trace)
                            text = "" if answered else trace.answer.text
                            yield self._chunk(text, trace.answer.finish_reason, refine)
                            if self._alone:
                                yield self.ending(outcome.usage_of(trace))

    def failed(self, failure: Exception) -> bytes:
        """The last chunk of a choice that has failed."""
        return self._chunk("", "length", outcome.failed(failure))

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
        finish_reason: FinishReason | None = None,
        refine: RefineOutcome | None = None,
    ) -> bytes:
        chunk = completion_of(self._head, [choice_of(self._index, text, finish_reason)])
        if refine is not None:
            chunk["refine"] = refine
        if self._running is not None:
            chunk["usage"] = self._running.so_far()
        return data(chunk)
