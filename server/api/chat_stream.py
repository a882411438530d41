"""The chunks of a streamed chat: the role, all reasoning, then the answer, then how it ended.

The answer is told while it is written when nothing can follow it, else at the end, whole. The
JSON of a chunk is put together from parts, because it is made for every token.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from redraft.server.api import outcome
from redraft.server.api.decide import Decision
from redraft.server.api.reasoning import END_THINK, FIELDS, THINK, ReasoningText
from redraft.server.api.schema.answers import Head
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
        self._decision, self._include_usage = decision, include_usage
        self._reasoning = ReasoningText()
        self._fields, self._inline = FIELDS.get(shown, ()), shown == "inline_think"
        self._begun = self._thinking = self._answered = False

    async def chunks(self, events: AsyncGenerator[Event, None]) -> AsyncGenerator[bytes, None]:
        async with aclosing(events):
            async for event in events:
                if told := self._tell(event):
                    yield told.encode("utf-8", "replace")

    def _tell(self, event: Event) -> str:
        match event:
            case Delta(live=True, text=text):
                if not self._answered:
                    self._reasoning.add(event)  # so that it knows this phase was told
                told = self._content(text, self._at(event))
            case Finished(trace=trace):
                told = self._end(trace)
            case _:
                text = self._reasoning.add(event)
                told = self._thought(text, self._at(event)) if text else ""
        if told and not self._begun:
            self._begun = True
            return self._chunk('{"role":"assistant","content":""}') + told
        return told

    def _thought(self, text: str, at: str) -> str:
        if self._inline:
            start, self._thinking = "" if self._thinking else THINK, True
            return self._chunk(to_json({"content": start + text}), at)
        if not self._fields:
            return ""
        said = to_json(text)
        return self._chunk("{" + ",".join(f'"{name}":{said}' for name in self._fields) + "}", at)

    def _content(self, text: str, at: str = "") -> str:
        self._answered = True
        if self._thinking:
            self._thinking, text = False, END_THINK + text
        return self._chunk(f'{{"content":{to_json(text)}}}', at)

    def _end(self, trace: Trace) -> str:
        told = "" if self._answered or not trace.answer.text else self._content(trace.answer.text)
        how = outcome.outcome_of(trace, self._decision.trace)
        told += self._chunk("{}", f',"refine":{to_json(how)}', trace.answer.finish_reason)
        if self._include_usage:
            usage = to_json(outcome.usage_of(trace))
            told += f'data: {self._open},"choices":[],"usage":{usage}}}\n\n'
        return told + DONE.decode()

    def _at(self, event: Any) -> str:
        """Where in the loop a delta belongs; without refinement there is nothing to tell."""
        if not self._decision.policy.refines or not isinstance(event, Delta):
            return ""
        return f',"refine":{{"phase":"{event.phase}","iteration":{event.iteration}}}'

    def _chunk(self, delta: str, refine: str = "", finish_reason: str | None = None) -> str:
        finish = f'"{finish_reason}"' if finish_reason else "null"
        choice = f'{{"index":0,"delta":{delta},"finish_reason":{finish}}}'
        return f'data: {self._open},"choices":[{choice}]{refine}}}\n\n'
