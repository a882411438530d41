"""Answers: what chat and completions return, written down for /docs and for typed clients.

The routes write the same as plain JSON; tests/test_chat.py and test_chat_stream.py hold them to
these types.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


class Answer(BaseModel):
    # In direct mode the engine's own layer may add fields of its own.
    model_config = ConfigDict(extra="allow")


class PromptTokensDetails(Answer):
    cached_tokens: int


class CompletionTokensDetails(Answer):
    reasoning_tokens: int


class UsageAnswer(Answer):
    """Of all phases together."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails | None = None
    completion_tokens_details: CompletionTokensDetails | None = None


class PhaseUsage(BaseModel):
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    calls: int
    seconds: float


class RefineOutcome(BaseModel):
    """How the answer came about."""

    stop_reason: str
    iterations: int
    kept: int
    scores: list[int | None]
    prompt_tokens: int | None = None
    usage: dict[str, PhaseUsage]
    malformed: int = 0  # feedback texts that could not be read, retried ones included
    failure: str | None = None
    trace: dict[str, Any] | None = None


class ChatAnswerMessage(Answer):
    role: Literal["assistant"]
    content: str | None
    reasoning: str | None = None
    reasoning_content: str | None = None


class ChatChoice(Answer):
    index: int
    message: ChatAnswerMessage
    finish_reason: FinishReason


class ChatCompletion(Answer):
    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: UsageAnswer
    refine: RefineOutcome | None = None


class ChunkChoice(Answer):
    index: int
    delta: dict[str, Any]
    finish_reason: FinishReason | None


class ChatCompletionChunk(Answer):
    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: UsageAnswer | None = None
    refine: dict[str, Any] | None = None


class CompletionChoice(Answer):
    index: int
    text: str
    finish_reason: FinishReason | None


class TextCompletion(Answer):
    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: UsageAnswer | None = None
    refine: RefineOutcome | dict[str, Any] | None = None
