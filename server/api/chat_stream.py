"""The chunks of a streamed chat: the role, all reasoning, then the answer, then how it ended.

The answer is streamed while it is written when nothing can follow it, else sent whole at the end.
A chunk's JSON is put together from strings because it is made for every token; its shape is
``ChatCompletionChunk``.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from redraft.server.api import logprobs, outcome
from redraft.server.api.decide import Decision
from redraft.server.api.reasoning import END_THINK, FIELDS, THINK, ReasoningText, note
from redraft.server.api.running_usage import RunningUsage
from redraft.server.api.schema.answers import Head, UsageAnswer
from redraft.server.api.shortfalls import shortfalls
from redraft.server.api.sse import DONE, to_json
from redraft.server.config import ReasoningField
from redraft.server.engine.tool_calls import ToolCall
from redraft.server.refine.events import Delta, Event, Finished, Thought, ToolCallsDelta
from redraft.server.refine.trace import Trace


class ChatStream:
    def __init__(
        self,
        head: Head,
        decision: Decision,
        shown: ReasoningField,
        include_usage: bool,
        running: RunningUsage | None = None,  # to have the usage so far on every chunk
        choice: int | None = None,  # the index of one of several choices
    ) -> None:
        start = {"id": head["id"], "object": "chat.completion.chunk", "created": head["created"]}
        self._open = to_json({**start, "model": head["model"]})[:-1]
        self._delta = f'data: {self._open},"choices":[{{"index":{choice or 0},"delta":'
        self._alone = choice is None
        self.trace: Trace | None = None  # at the end
        self._decision, self._include_usage = decision, include_usage
        self._running = running
        self._reasoning = ReasoningText(decision.policy.refines)
        self._inline = shown == "inline_think"
        self._fields = [f'"{name}":' for name in FIELDS.get(shown, ())]
        self._place, self._at = ("", -1), ""  # of the latest delta in the loop; how it is told
        self._begun = self._thinking = self._answered = self._called = False

    async def chunks(self, events: AsyncGenerator[Event, None]) -> AsyncGenerator[bytes, None]:
        async with aclosing(events):
            async for event in events:
                if chunks := self._chunks_of(event):
                    yield chunks.encode("utf-8", "replace")

    def _chunks_of(self, event: Event) -> str:
        if self._running is not None:
            self._running.add(event)
        match event:
            case Delta(live=True, text=text, logprobs=entries):
                if not self._answered:
                    self._reasoning.add(event)  # so that the phase counts as streamed
                chunks = self._content(text, self._where(event), entries)
            case ToolCallsDelta(calls=calls, before=before):
                self._reasoning.add(event)
                chunks = self._tool_calls(calls, before)
            case Finished(trace=trace):
                self.trace = trace
                chunks = self._end(trace)
            case _:
                text = self._reasoning.add(event)
                chunks = self._thought(text, self._where(event)) if text else ""
        if chunks and not self._begun:
            self._begun = True
            return self._chunk('{"role":"assistant","content":"","refusal":null}') + chunks
        return chunks

    def _thought(self, text: str, at: str) -> str:
        if self._inline:
            start, self._thinking = "" if self._thinking else THINK, True
            return self._chunk(to_json({"content": start + text}), at)
        if not self._fields:
            return ""
        value = to_json(text)
        return self._chunk("{" + ",".join([name + value for name in self._fields]) + "}", at)

    def _content(self, text: str, at: str = "", entries: Sequence[logprobs.Entry] = ()) -> str:
        self._answered = True
        if self._thinking:
            self._thinking, text = False, END_THINK + text
        probabilities = to_json(logprobs.of_chat(entries)) if entries else "null"
        return self._chunk(f'{{"content":{to_json(text)}}}', at, probabilities=probabilities)

    def _tool_calls(self, calls: Sequence[ToolCall], before: str) -> str:
        """``before``: the text of the answer, which comes first."""
        unsent = "" if self._answered else before
        chunks = self._content(unsent) if unsent or self._thinking else ""
        self._answered = self._called = True
        return chunks + self._chunk(to_json({"tool_calls": calls}))

    def _end(self, trace: Trace) -> str:
        answer = trace.answer
        unsent = "" if self._answered else answer.text
        chunks = ""
        if unsent:
            chunks = self._note(trace) + self._content(unsent, entries=answer.logprobs)
        if answer.tool_calls and not self._called:  # of one of several drafts
            calls = [{"index": i, **call} for i, call in enumerate(answer.tool_calls)]
            chunks += self._tool_calls(calls, "")
        refine = to_json(outcome.outcome_of(trace, self._decision.trace))
        chunks += self._chunk("{}", f',"refine":{refine}', trace.answer.finish_reason)
        return chunks + self._ending(outcome.usage_of(trace)) if self._alone else chunks

    def failed(self, failure: Exception) -> bytes:
        """The last chunk of a choice that has failed."""
        refine = to_json(outcome.failed(failure))
        return self._chunk("{}", f',"refine":{refine}', "length").encode("utf-8", "replace")

    def ending(self, usage: UsageAnswer) -> bytes:
        """What comes after the last choice."""
        return self._ending(usage).encode()

    def _ending(self, usage: UsageAnswer) -> str:
        if not self._include_usage:
            return DONE.decode()
        return f'data: {self._open},"choices":[],"usage":{to_json(usage)}}}\n\n{DONE.decode()}'

    def _note(self, trace: Trace) -> str:
        notes = shortfalls(trace, self._decision.policy)
        return self._thought(f"\n\n{note(notes)}", "") if notes else ""

    def _where(self, event: Event) -> str:
        """The phase and iteration a delta belongs to; left out without refinement."""
        if not isinstance(event, Delta | Thought) or not self._decision.policy.refines:
            return ""
        if (place := (event.phase, event.iteration)) != self._place:
            self._place = place
            self._at = f',"refine":{{"phase":"{event.phase}","iteration":{event.iteration}}}'
        return self._at

    def _usage(self) -> str:
        return f',"usage":{to_json(self._running.so_far())}' if self._running is not None else ""

    def _chunk(
        self,
        delta: str,
        refine: str = "",
        finish_reason: str | None = None,
        probabilities: str = "null",
    ) -> str:
        finish = f'"{finish_reason}"' if finish_reason else "null"
        rest = f'"logprobs":{probabilities},"finish_reason":{finish}}}]{refine}{self._usage()}'
        return f"{self._delta}{delta},{rest}}}\n\n"
