"""Engine: a source of completions, and the records that travel to and from it.

How to add an engine:
1. Write a module or package in ``server/engine/`` with a class that has the members of ``Engine``
   below; import its library there and nowhere else.
2. Give it a name in ``server/build/engines.py`` and in the option ``--engine`` of
   ``server/config/server.py``.
3. Add a row to ``tests/support/engine_table.py``: ``tests/server/engine/test_engines.py`` holds
   every engine to the same way of streaming, counting, stopping, cancelling and failing.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from redraft.server.engine.failures import EngineError as EngineError
from redraft.server.engine.failures import EngineRefused as EngineRefused
from redraft.server.engine.failures import EngineUnavailable as EngineUnavailable
from redraft.server.engine.failures import PromptTooLong as PromptTooLong
from redraft.server.engine.tool_calls import ToolCall, ToolCalls

FinishReason = Literal["stop", "length", "tool_calls"]
Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a chat. ``wire`` is the message as OpenAI's clients send it, where it is more
    than text: tool calls, the result of one, parts that are not text."""

    role: str
    content: str  # its text
    name: str | None = None
    wire: Json | None = field(default=None, hash=False)

    def to_json(self) -> dict[str, Any]:
        if self.wire is not None:
            return dict(self.wire)
        named = {"name": self.name} if self.name else {}
        return {"role": self.role, "content": self.content, **named}

    @classmethod
    def from_json(cls, row: Json) -> Message:
        content = row.get("content") if row.get("tool_calls") else row["content"]
        plain = isinstance(content, str) and not (row.get("tool_calls") or row.get("tool_call_id"))
        if isinstance(content, list):
            content = "\n".join(part.get("text") or "" for part in content)
        return cls(row["role"], content or "", row.get("name"), None if plain else dict(row))

    @property
    def has_media(self) -> bool:
        """Whether it has parts that are not text."""
        content = None if self.wire is None else self.wire.get("content")
        return isinstance(content, list) and any(part.get("type") != "text" for part in content)


@dataclass(frozen=True, slots=True)
class Tokens:
    """A prompt of token ids, which the engine continues."""

    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ChatOptions:
    """What a chat asks of an engine beyond an answer in words. The defaults ask for nothing."""

    tools: tuple[Json, ...] = ()  # OpenAI's definitions
    tool_choice: str | Json | None = None  # as OpenAI has it; None: auto
    parallel_tool_calls: bool | None = None
    template_kwargs: Json = field(default_factory=dict)  # of the chat template
    think: bool | None = None  # where the model can do both; None: as the model does by itself
    think_tokens: int | None = None  # most tokens of thoughts, where the engine can limit them
    reasoning_effort: str | None = None  # as the model's template, or a hosted API, takes it

    @property
    def calls_tools(self) -> bool:
        return bool(self.tools) and self.tool_choice != "none"


PLAIN = ChatOptions()


@dataclass(frozen=True, slots=True)
class Chat:
    """A prompt that the engine renders with its chat template."""

    messages: tuple[Message, ...]
    options: ChatOptions = PLAIN

    @property
    def is_plain(self) -> bool:
        """Whether it is words that ask for words."""
        return self.options == PLAIN and all(message.wire is None for message in self.messages)

    @property
    def has_media(self) -> bool:
        return any(message.has_media for message in self.messages)


Prompt = Tokens | Chat


@dataclass(frozen=True, slots=True)
class Constraint:
    """What a completion must match. ``value`` is a JSON schema, a regex, a grammar, or JSON text
    of a list of choices; empty for ``json_object``."""

    kind: Literal["json_object", "json_schema", "regex", "grammar", "choice"]
    value: str = ""


Constrains = Literal["grammar", "json_schema"]  # the strictest kind that an engine takes


Mark = tuple[int, ...]  # the tokens of a marker, in their order


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to sample one completion. None means the default of the engine or the model."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repetition_penalty: float | None = None
    logit_bias: tuple[tuple[int, float], ...] = ()
    seed: int | None = None
    max_tokens: int | None = None
    min_tokens: int | None = None
    ignore_eos: bool = False
    stop: tuple[str, ...] = ()
    stop_token_ids: tuple[int, ...] = ()
    constraint: Constraint | None = None
    forms: tuple[Constraint, ...] = ()  # wanted, not required: the first that the engine takes
    logprobs: int | None = None  # so many alternatives for each token; None: no log probabilities
    marks: tuple[Mark, ...] = ()  # each ends a part of the completion, which goes on after it

    def numbers(self) -> dict[str, float | int]:
        """The options that are one number, where they are set."""
        values = {name: getattr(self, name) for name in _NUMBERS}
        return {name: value for name, value in values.items() if value is not None}


_NUMBERS = (
    *("temperature", "top_p", "top_k", "min_p"),
    *("presence_penalty", "frequency_penalty", "repetition_penalty"),
    *("seed", "max_tokens", "min_tokens"),
)


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens processed and generated by one or more engine calls."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0  # the part of prompt_tokens found in the engine's prefix cache
    calls: int = 0
    thought_tokens: int = 0  # the part of completion_tokens that are thoughts

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cached_tokens + other.cached_tokens,
            self.calls + other.calls,
            self.thought_tokens + other.thought_tokens,
        )


@dataclass(frozen=True, slots=True)
class Call:
    """The identity and the limits of one engine call."""

    request_id: str  # unique to this call
    session: str = ""  # shared by all phases of one loop; routers keep a session on one replica
    priority: int = 0  # lower goes first
    traceparent: str | None = None
    timeout_s: float | None = None  # left until the caller's deadline; retries stop there
    adapter: str | None = None  # the name of the LoRA adapter that writes it; None: the base
    prediction: tuple[int, ...] = ()  # expected tokens: changes no text, may make it come sooner


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of one completion as it is generated.

    The last chunk, and only the last, has ``finish_reason``; it has ``usage``, and others may have
    it so far. ``token_ids`` over all chunks are exactly the tokens of the text over all
    chunks: a stop token, or the tokens of a stop string, are in neither. An engine that has no
    token ids leaves them empty. ``usage.completion_tokens`` counts every token the engine
    generated, stop tokens and thoughts included.

    With ``Sampling.marks`` each chunk is one token's text and has the usage so far, and the one of
    a mark's last token has ``mark``; the text after it begins anew, as if all before it were the
    prompt's. A mark that is text is in the text, and so are stop strings.
    """

    text: str
    token_ids: tuple[int, ...] = ()
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    thought: str = ""  # what a reasoning model thinks before its text; never part of it
    tool_calls: tuple[ToolCall, ...] = ()  # deltas, in OpenAI's shape
    logprobs: tuple[Json, ...] = ()  # an entry for each token, in OpenAI's shape
    mark: Mark | None = None  # what ended a part
    more: bool = False  # with marks: the next chunk was there together with this one


@dataclass(frozen=True, slots=True)
class Completion:
    """Everything an engine returned for one prompt."""

    text: str
    token_ids: tuple[int, ...] = ()
    finish_reason: FinishReason = "stop"
    usage: Usage = field(default_factory=Usage)
    thought: str = ""
    tool_calls: tuple[ToolCall, ...] = ()  # whole
    logprobs: tuple[Json, ...] = ()


class Engine(Protocol):
    """A source of completions from one model."""

    name: str  # the operator's name for it; "default" answers, others can be critics
    model: str  # the clients' name for its model
    window: int  # the most prompt + completion tokens one call may hold
    has_tokens: bool  # False: only Chat prompts, and chunks without token ids
    thinks: bool  # it tells the thoughts of a reasoning model from its text, given a Chat
    calls_tools: bool  # it takes ChatOptions.tools
    writes_on: bool  # it takes Sampling.marks, given Tokens
    predicts: bool  # it makes use of Call.prediction

    @property
    def constrains(self) -> Constrains | None: ...  # as far as an upstream is known

    def generate(
        self, prompt: Prompt, sampling: Sampling, call: Call
    ) -> AsyncGenerator[Chunk, None]:
        """Stream one completion. Closing or cancelling the iterator stops the work at once.

        Raises EngineError and its kinds, nothing else."""
        ...

    async def encode(self, text: str) -> tuple[int, ...]:
        """The tokens of ``text``, no special tokens added, none recognised."""
        ...

    async def encode_chat(
        self, messages: tuple[Message, ...], options: ChatOptions = PLAIN
    ) -> tuple[int, ...]:
        """The tokens of the rendered chat, with the beginning of the assistant's next message.
        Message content is text: a special token spelled out in it stays text."""
        ...

    async def check(self) -> None:
        """Return when the engine accepts calls; raise EngineUnavailable when it does not."""
        ...

    async def close(self) -> None:
        """Free the engine's resources. Running calls end with EngineUnavailable."""
        ...


# An ASGI application (scope, receive, send) that answers OpenAI requests without refinement,
# with the features of the engine's own OpenAI layer, such as tools, logprobs and n > 1.
Direct = Any


async def complete(engine: Engine, prompt: Prompt, sampling: Sampling, call: Call) -> Completion:
    """One completion, when all of it is there."""
    text: list[str] = []
    ids: list[int] = []
    thought: list[str] = []
    logprobs: list[Json] = []
    calls = ToolCalls()
    async for chunk in engine.generate(prompt, sampling, call):
        text.append(chunk.text)
        ids.extend(chunk.token_ids)
        thought.append(chunk.thought)
        logprobs.extend(chunk.logprobs)
        calls.add(chunk.tool_calls)
        if chunk.finish_reason is not None:
            return Completion(
                "".join(text),
                tuple(ids),
                chunk.finish_reason,
                chunk.usage or Usage(),
                "".join(thought),
                calls.whole(),
                tuple(logprobs),
            )
    raise EngineUnavailable(f"engine {engine.name!r} ended a completion without a finish reason")
