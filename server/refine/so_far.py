"""SoFar: one completion while it arrives."""

from __future__ import annotations

from redraft.server.engine.base import Chunk, Engine, Json, Tokens, Usage
from redraft.server.engine.tool_calls import ToolCalls
from redraft.server.refine import limits
from redraft.server.refine.asking import Ask
from redraft.server.refine.spelled import Spelled
from redraft.server.refine.trace import ResponseText


class SoFar:
    """Collects the chunks of one call; ``response`` is what they make, also when it was cut."""

    def __init__(self, ask: Ask) -> None:
        self.text: list[str] = []
        self.last: Chunk | None = None
        self.repeated = 0  # 1 when repetition ended it
        self._ask = ask
        self._reader = ask.form.reader() if ask.form else None
        self._prompt_tokens = len(ask.prompt.ids) if isinstance(ask.prompt, Tokens) else 0
        self._ids: list[int] = []
        self._thoughts: list[str] = []
        self._calls = ToolCalls()
        self._spelled = Spelled()
        self._logprobs: list[Json] = []
        self._others = 0  # chunks that are neither text nor a thought
        self._told = Usage()  # by the engine before the end

    def add(self, chunk: Chunk) -> tuple[str, tuple[Json, ...]]:
        """Returns the text that the chunk adds, and the log probabilities of its tokens."""
        piece = self._reader.push(chunk.text) if self._reader else chunk.text
        if chunk.finish_reason is not None:
            self.last = chunk
            piece += self._reader.rest() if self._reader else ""
        if piece:
            self.text.append(piece)
        if chunk.thought:
            self._thoughts.append(chunk.thought)
        if chunk.tool_calls:
            self._calls.add(chunk.tool_calls)
            self._others += 1
        if chunk.usage is not None:
            self._told = chunk.usage
        self._ids.extend(chunk.token_ids)
        logprobs = self._spelled.add(piece, chunk.logprobs)
        if self.last is not None:
            logprobs += self._spelled.rest()
        self._logprobs += logprobs
        return piece, logprobs

    async def end_repetition(self, engine: Engine) -> None:
        """Repetition ends it here; not every engine has said how many tokens it read."""
        self.repeated = 1
        if not self._told.prompt_tokens:
            self._prompt_tokens = await limits.prompt_tokens(engine, self._ask.prompt)

    def usage(self) -> Usage:
        """As the engine says; of an interrupted call, counted from its chunks."""
        if self.last is not None and self.last.usage is not None:
            return self.last.usage
        thoughts = len(self._thoughts)
        written = (len(self._ids) or len(self.text)) + self._others
        prompt = self._told.prompt_tokens or self._prompt_tokens
        cached = self._told.cached_tokens
        return Usage(prompt, written + thoughts, cached, thought_tokens=thoughts)

    def response(self, source: str, spent: Usage) -> ResponseText:
        finish_reason = self.last.finish_reason if self.last else None
        verbatim = self._reader is None or self._reader.verbatim
        return ResponseText(
            "".join(self.text),
            tuple(self._ids) if verbatim else (),
            source,
            finish_reason or "length",
            spent.completion_tokens - spent.thought_tokens,
            "".join(self._thoughts),
            self._calls.whole(),
            tuple(self._logprobs),
        )
