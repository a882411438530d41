"""The scripted engine: replays canned text. For tests, demos and measuring the cost of the server
itself (``redraft serve --engine scripted``).

Its tokens are words with the space before them, which a reader of a test can count. A completion
that ends by itself has one token more, its end-of-text token, as on any engine.

    ScriptedEngine("Paris", "Correct. Overall Score: [[9]]")        one reply per call, in order
    ScriptedEngine(reply=lambda prompt, sampling: "Paris")          a reply from the prompt
    ScriptedEngine(Fail(EngineUnavailable("gone"), "Half a"))       two tokens, then an error
    ScriptedEngine(Say("Paris", thought="France."))                 a thought before the text
    ScriptedEngine(Say(tool_calls=(call("weather", city="Oslo"),))) a call of a tool
    ScriptedEngine(Say("Paris", more=(((900,), "Good."),)))         goes on after a marker
    ScriptedEngine(reply=demo_reply)                                a fixed text for each phase
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from redraft.server.engine.base import (
    PLAIN,
    Call,
    Chat,
    ChatOptions,
    Chunk,
    Constrains,
    EngineError,
    EngineRefused,
    EngineUnavailable,
    FinishReason,
    Message,
    Prompt,
    Sampling,
    Tokens,
    Usage,
)
from redraft.server.engine.marks import mark_of
from redraft.server.engine.overflow import too_long
from redraft.server.engine.prefix_cache import PrefixCache
from redraft.server.engine.script import Say, deltas, logprobs
from redraft.server.engine.stop_strings import StopStrings
from redraft.server.engine.words import END_OF_TEXT, Words


@dataclass(frozen=True, slots=True)
class Fail:
    """A reply that writes ``text`` and then fails."""

    error: EngineError
    text: str = ""


@dataclass(frozen=True, slots=True)
class ReceivedCall:
    """One call, as the engine received it."""

    prompt: Prompt
    text: str  # the prompt as text
    sampling: Sampling
    call: Call


Entry = str | Say | Fail
Reply = Callable[[str, Sampling], Entry]  # prompt as text, sampling -> the reply
# Awaited before each token, with the call and the number of tokens before it: holds a completion.
Gate = Callable[[Call, int], Awaitable[None]]


class ScriptedEngine:
    writes_on = True

    def __init__(
        self,
        *script: Entry,
        reply: Reply | None = None,
        name: str = "default",
        model: str = "scripted",
        window: int = 4096,
        has_tokens: bool = True,
        constrains: Constrains | None = None,  # only said: a script is written as it stands
        thinks: bool = False,
        calls_tools: bool = True,
        predicts: bool = False,  # only said, too
        delay: float = 0.0,  # seconds per token
        gate: Gate | asyncio.Event | None = None,
        block_size: int = 1,  # of the prefix cache, in tokens
        keep_history: bool = True,
    ) -> None:
        self.name, self.model, self.window, self.has_tokens = name, model, window, has_tokens
        self.constrains = constrains
        self.thinks, self.calls_tools, self.predicts = thinks, calls_tools, predicts
        self.delay, self.gate = delay, gate
        self.history: list[ReceivedCall] = []
        self.running = 0  # calls in progress
        self._script, self._reply, self._num_replies = script, reply, 0
        self._keep_history = keep_history
        self._words = Words()
        self._cache = PrefixCache(block_size)
        self._closed = asyncio.Event()

    async def generate(
        self, prompt: Prompt, sampling: Sampling, call: Call
    ) -> AsyncGenerator[Chunk, None]:
        await self.check()
        ids = self._prompt_ids(prompt)
        if len(ids) >= self.window:
            raise too_long(self.window, len(ids))
        entry = self._entry(ReceivedCall(prompt, self._text(ids), sampling, call))
        options = prompt.options if isinstance(prompt, Chat) else PLAIN
        written = _Written(options, StopStrings(sampling.stop), self.window - len(ids))
        if sampling.max_tokens is not None:
            written.limit = min(written.limit, sampling.max_tokens)
        cached = self._cache.match(ids)
        told = False  # anything yet
        self.running += 1
        try:
            async for chunk in self._write(entry, sampling, call, written):
                if sampling.marks or not told:
                    usage = Usage(len(ids), written.count, cached, 1)
                    chunk = replace(chunk, usage=usage)
                told = True
                yield chunk
        finally:
            self.running -= 1
            self._cache.add((*ids, *written.ids))
        tail = written.stop.flush()
        usage = Usage(len(ids), written.count, cached, 1, written.thoughts)
        yield self._chunk(tail.text, tail.token_ids, written.finish_reason, usage)

    async def encode(self, text: str) -> tuple[int, ...]:
        self._need_tokens()
        return self._words.encode(text)

    async def encode_chat(
        self, messages: tuple[Message, ...], options: ChatOptions = PLAIN
    ) -> tuple[int, ...]:
        self._need_tokens()
        return self._words.chat(messages)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of tokens; special tokens are shown by name."""
        return self._words.decode(ids)

    async def check(self) -> None:
        if self._closed.is_set():
            raise EngineUnavailable(f"engine {self.name!r} was closed")

    async def close(self) -> None:
        self._closed.set()

    async def _write(
        self, entry: Entry, sampling: Sampling, call: Call, written: _Written
    ) -> AsyncGenerator[Chunk, None]:
        """The tokens of one reply, until it ends, reaches a limit or fails as scripted."""
        say = entry if isinstance(entry, Say) else Say("" if isinstance(entry, Fail) else entry)
        async for chunk in self._think(say, call, written):
            yield chunk
        if written.finish_reason == "length":
            return
        for word, token in self._reply_tokens(entry, sampling):
            await self._pause(call, written.count)
            written.count += 1
            if token == END_OF_TEXT and say.tool_calls:
                for delta in deltas(say.tool_calls):
                    yield Chunk("", tool_calls=(delta,))
                written.finish_reason = "tool_calls"
            if token == END_OF_TEXT or token in sampling.stop_token_ids:
                return
            written.ids.append(token)
            if mark := mark_of(written.ids, written.begun, sampling.marks):
                written.begun = len(written.ids)
            released = written.stop.push(word, (token,) if word else ())
            entries = logprobs(word, sampling)  # at once, as vLLM's, though text is withheld
            if released.text or entries or mark:
                chunk = self._chunk(released.text, released.token_ids)
                yield replace(chunk, logprobs=entries, mark=mark)
            if released.fragment:
                yield self._chunk(released.fragment, self._words.encode(released.fragment))
            if written.stop.found:
                return
            if written.count >= written.limit:
                written.finish_reason = "length"
                return
        if isinstance(entry, Fail):
            raise entry.error

    async def _think(self, say: Say, call: Call, written: _Written) -> AsyncGenerator[Chunk, None]:
        options = written.options
        words = [] if options.think is False else self._words.split(say.thought)
        for word in words[: options.think_tokens]:
            await self._pause(call, written.count)
            written.count += 1
            written.thoughts += 1
            yield Chunk("", thought=word)
            if written.count >= written.limit:
                written.finish_reason = "length"
                return

    def _reply_tokens(self, entry: Entry, sampling: Sampling) -> Iterable[tuple[str, int]]:
        """The tokens of a reply, repeated as long as ``sampling`` does not let it end."""
        words = self._words.split(entry if isinstance(entry, str) else entry.text)
        tokens = list(zip(words, self._words.ids(words), strict=True))
        if isinstance(entry, Fail):
            return tokens
        for mark, text in entry.more if isinstance(entry, Say) else ():
            words = self._words.split(text)
            tokens += [(self._words.text_of(token), token) for token in mark]
            tokens += zip(words, self._words.ids(words), strict=True)
        if sampling.ignore_eos and tokens:
            return itertools.cycle(tokens)
        missing = max(0, (sampling.min_tokens or 0) - len(tokens))
        more = itertools.islice(itertools.cycle(tokens), missing)
        return itertools.chain(tokens, more, [("", END_OF_TEXT)])

    async def _pause(self, call: Call, position: int) -> None:
        await asyncio.sleep(self.delay)  # also at 0: a real engine yields to others at each token
        if isinstance(self.gate, asyncio.Event):
            await _first_of(self.gate.wait(), self._closed.wait())
        elif self.gate is not None:
            await _first_of(self.gate(call, position), self._closed.wait())
        await self.check()

    def _entry(self, received: ReceivedCall) -> Entry:
        if self._keep_history:
            self.history.append(received)
        if self._reply is not None:
            return self._reply(received.text, received.sampling)
        if self._num_replies == len(self._script):
            request_id, prompt = received.call.request_id, received.text
            raise EngineRefused(
                f"the script of engine {self.name!r} ends after {len(self._script)} replies, but "
                f"it was asked once more, by {request_id!r}: {prompt[-200:]!r}"
            )
        self._num_replies += 1
        return self._script[self._num_replies - 1]

    def _prompt_ids(self, prompt: Prompt) -> tuple[int, ...]:
        if isinstance(prompt, Tokens):
            self._need_tokens()
            return prompt.ids
        return self._words.chat(prompt.messages)

    def _text(self, ids: tuple[int, ...]) -> str:
        return self.decode(ids) if self._keep_history or self._reply else ""

    def _need_tokens(self) -> None:
        if not self.has_tokens:
            raise EngineRefused(f"engine {self.name!r} has no token ids; ask it with Chat prompts")

    def _chunk(
        self,
        text: str,
        ids: tuple[int, ...],
        finish_reason: FinishReason | None = None,
        usage: Usage | None = None,
    ) -> Chunk:
        return Chunk(text, ids if self.has_tokens else (), finish_reason, usage)


@dataclass(slots=True)
class _Written:
    """One completion so far."""

    options: ChatOptions
    stop: StopStrings
    limit: int
    count: int = 0
    thoughts: int = 0  # the part of count
    ids: list[int] = field(default_factory=list)
    begun: int = 0  # of ids, those before the part that is written now
    finish_reason: FinishReason = "stop"


async def _first_of(*awaited: Awaitable[Any]) -> None:
    """Return when one of them is done, or raise its error."""
    tasks = [asyncio.ensure_future(each) for each in awaited]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()


def demo_reply(prompt: str, sampling: Sampling) -> str:
    """A plausible text for the phase that the prompt's last heading asks for."""
    feedback_at, refinement_at = prompt.rfind("### Feedback"), prompt.rfind("### Improved Response")
    if refinement_at > feedback_at:
        return "This is the refinement of a scripted engine. It says what the draft left out."
    if feedback_at >= 0:
        return (
            "Weaknesses: the draft leaves something out.\n"
            "Suggestions: say what the draft left out.\nOverall Score: [[6]]"
        )
    return "This is the draft of a scripted engine. No model was asked."
