"""The chunks of a streamed chat: the role, all reasoning, then the answer, then how it ended.

The answer is streamed while it is written when nothing can follow it, else sent whole at the end.
A chunk's JSON is put together from strings because it is made for every token; its shape is
``ChatCompletionChunk``.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from redraft.server.api import outcome
from redraft.server.api.decide import Decision
from redraft.server.api.reasoning import END_THINK, FIELDS, THINK, ReasoningText, note
from redraft.server.api.schema.answers import Head
from redraft.server.api.shortfalls import shortfalls
from redraft.server.api.sse import DONE, to_json
from redraft.server.config import ReasoningField
from redraft.server.refine.events import Delta, Event, Finished
from redraft.server.refine.trace import Trace


class ChatStream:
    def __init__(
        self, head: Head, decision: Decision, shown: ReasoningField, include_usage: bool
    ) -> None:
        start = {"id": head["id"], "object": "chat.completion.chunk", "created": head["created"]}
        self._open = to_json({**start, "model": head["model"]})[:-1]
        self._delta = f'data: {self._open},"choices":[{{"index":0,"delta":'
        self._decision, self._include_usage = decision, include_usage
        self._reasoning = ReasoningText()
        self._inline = shown == "inline_think"
        self._fields = [f'"{name}":' for name in FIELDS.get(shown, ())]
        self._place, self._at = ("", -1), ""  # of the latest delta in the loop; how it is told
        self._begun = self._thinking = self._answered = False

    async def chunks(self, events: AsyncGenerator[Event, None]) -> AsyncGenerator[bytes, None]:
        async with aclosing(events):
            async for event in events:
                if chunks := self._chunks_of(event):
                    yield chunks.encode("utf-8", "replace")

    def _chunks_of(self, event: Event) -> str:
        match event:
            case Delta(live=True, text=text):
                if not self._answered:
                    self._reasoning.add(event)  # so that the phase counts as streamed
                chunks = self._content(text, self._where(event))
            case Finished(trace=trace):
                chunks = self._end(trace)
            case _:
                text = self._reasoning.add(event)
                chunks = self._thought(text, self._where(event)) if text else ""
        if chunks and not self._begun:
            self._begun = True
            return self._chunk('{"role":"assistant","content":""}') + chunks
        return chunks

    def _thought(self, text: str, at: str) -> str:
        if self._inline:
            start, self._thinking = "" if self._thinking else THINK, True
            return self._chunk(to_json({"content": start + text}), at)
        if not self._fields:
            return ""
        value = to_json(text)
        return self._chunk("{" + ",".join([name + value for name in self._fields]) + "}", at)

    def _content(self, text: str, at: str = "") -> str:
        self._answered = True
        if self._thinking:
            self._thinking, text = False, END_THINK + text
        return self._chunk(f'{{"content":{to_json(text)}}}', at)

    def _end(self, trace: Trace) -> str:
        unsent = "" if self._answered else trace.answer.text
        chunks = self._note(trace) + self._content(unsent) if unsent else ""
        refine = to_json(outcome.outcome_of(trace, self._decision.trace))
        chunks += self._chunk("{}", f',"refine":{refine}', trace.answer.finish_reason)
        if self._include_usage:
            usage = to_json(outcome.usage_of(trace))
            chunks += f'data: {self._open},"choices":[],"usage":{usage}}}\n\n'
        return chunks + DONE.decode()

    def _note(self, trace: Trace) -> str:
        notes = shortfalls(trace, self._decision.policy)
        return self._thought(f"\n\n{note(notes)}", "") if notes else ""

    def _where(self, event: Event) -> str:
        """The phase and iteration a delta belongs to; left out without refinement."""
        if not isinstance(event, Delta) or not self._decision.policy.refines:
            return ""
        if (place := (event.phase, event.iteration)) != self._place:
            self._place = place
            self._at = f',"refine":{{"phase":"{event.phase}","iteration":{event.iteration}}}'
        return self._at

    def _chunk(self, delta: str, refine: str = "", finish_reason: str | None = None) -> str:
        finish = f'"{finish_reason}"' if finish_reason else "null"
        return f'{self._delta}{delta},"finish_reason":{finish}}}]{refine}}}\n\n'
