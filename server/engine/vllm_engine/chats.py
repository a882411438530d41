"""Chats that need vLLM's own chat completions: thoughts kept apart, tools, images.

The text, the thoughts and the tool calls are told apart by vLLM's parsers for the model's family.
"""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from pydantic import ValidationError
from vllm.entrypoints.openai.chat_completion.protocol import (
    ChatCompletionRequest,
    ChatCompletionToolsParam,
)
from vllm.entrypoints.serve.engine.protocol import ErrorResponse

from redraft.server.engine import chat_body
from redraft.server.engine.base import (
    Call,
    Chat,
    ChatOptions,
    Chunk,
    EngineError,
    EngineRefused,
    EngineUnavailable,
    FinishReason,
    Json,
    PromptTooLong,
    Sampling,
)
from redraft.server.engine.chat_chunks import Piece, Trimmed, finish_reason, read_piece, read_usage
from redraft.server.engine.overflow import in_openais_words
from redraft.server.engine.vllm_engine import media
from redraft.server.engine.vllm_engine.errors import NOTHING_FOLLOWS, vllm_errors
from redraft.server.engine.vllm_engine.predictions import Predictions
from redraft.server.engine.vllm_engine.prompts import Prompts
from redraft.server.engine.vllm_engine.token_text import TokenText


class Chats:
    """The chat completions of one core."""

    def __init__(
        self,
        serving: Any,
        args: Namespace,
        prompts: Prompts,
        has_budgets: bool,
        predictions: Predictions,
    ) -> None:
        """``serving`` is vLLM's handler of /v1/chat/completions; ``has_budgets``: it can end the
        thoughts of this model."""
        self._serving, self._prompts, self._has_budgets = serving, prompts, has_budgets
        self._predictions = predictions
        self._hosts: Sequence[str] = args.allowed_media_domains or ()
        self.thinks = bool(args.reasoning_parser)
        self.calls_tools = bool(args.enable_auto_tool_choice and args.tool_call_parser)

    def take(self, chat: Chat, sampling: Sampling) -> bool:
        """Whether a chat needs vLLM's own layer."""
        beyond_text = self.thinks or chat.options.calls_tools or sampling.logprobs is not None
        return beyond_text or chat.has_media

    async def generate(
        self, chat: Chat, sampling: Sampling, call: Call, headers: Mapping[str, str]
    ) -> AsyncGenerator[Chunk, None]:
        """``headers``: as vLLM's clients send them."""
        if chat.options.calls_tools and not self.calls_tools:
            raise EngineRefused("this engine was started without a tool parser; leave out tools")
        request = self._request(chat, sampling, call)
        with vllm_errors(), media.reading(chat, self._hosts):
            answer = await self._serving.create_chat_completion(
                ChatCompletionRequest.model_validate(request),
                SimpleNamespace(headers=headers, state=SimpleNamespace()),
            )
        if isinstance(answer, ErrorResponse):
            raise _error(answer.error.model_dump(), sampling)
        reading = _Reading(self._prompts, sampling)
        async with aclosing(answer) as events:
            async for event in events:
                if chunk := reading.read(event):
                    yield chunk
        yield reading.last()

    def as_rendered(self, options: ChatOptions) -> ChatOptions:
        """The options with tools as vLLM hands them to the template: with fields left out, too."""
        if not options.tools:
            return options
        try:
            tools = [ChatCompletionToolsParam.model_validate(t) for t in _strict(options).tools]
        except ValidationError as error:
            raise EngineRefused(f"vLLM does not take these tools: {error.errors()[0]}") from error
        return replace(options, tools=tuple(tool.model_dump() for tool in tools))

    def logprobs(self, tokens: Sequence[int], output: Any, most: int | None) -> tuple[Json, ...]:
        """The entries of tokens that vLLM generated, as its chat completions have them."""
        if most is None or not output.logprobs:
            return ()
        entries = self._serving._create_chat_logprobs(
            tokens, output.logprobs, self._serving.renderer.tokenizer, most
        )
        return tuple(entry.model_dump() for entry in entries.content)

    def _request(self, chat: Chat, sampling: Sampling, call: Call) -> dict[str, Any]:
        messages = tuple(map(self._prompts.without_special, chat.messages))
        options = self._prompts.options_without_special(_strict(chat.options))
        if not self._has_budgets:
            options = replace(options, think_tokens=None)
        fields = {
            **chat_body.prompt_fields(Chat(messages, options)),
            **chat_body.vllm_fields(options, self._prompts.switches),
            **chat_body.sampling_fields(sampling, chat=True),
            "request_id": call.request_id,
            "priority": call.priority,
            "stream": True,
            "stream_options": {"include_usage": True},
            "return_token_ids": True,
            "vllm_xargs": self._predictions.arguments(call.prediction) or None,
        }
        if call.adapter is not None:
            fields["model"] = call.adapter  # vLLM serves adapters as models
        if sampling.constraint is not None:
            fields |= chat_body.constraint_fields(sampling.constraint, vllm=True)
        return fields


def _strict(options: ChatOptions) -> ChatOptions:
    """The options, with the arguments of a tool that must be called held to their schema."""
    if options.tool_choice in (None, "auto", "none"):
        return options
    tools = ({**t, "function": {"strict": True, **t["function"]}} for t in options.tools)
    return replace(options, tools=tuple(tools))


class _Reading:
    """Reads the events of one completion. Its token ids come with the last chunk, if they are those
    of the text: not when there were thoughts or tool calls, whose tokens are among them."""

    def __init__(self, prompts: Prompts, sampling: Sampling) -> None:
        self._prompts, self._sampling = prompts, sampling
        self._text: list[str] = []
        self._prompt: Sequence[int] = ()
        self._ids: list[int] = []
        self._usage: Json = {}
        self._finish_reason: FinishReason | None = None
        self._calls_tools = False
        self._trimmed = Trimmed()

    def read(self, event: str) -> Chunk | None:
        data = event.removeprefix("data: ").strip()
        if data == "[DONE]":
            return None
        content = json.loads(data)
        if error := content.get("error"):
            raise _error(error, self._sampling)
        self._prompt = content.get("prompt_token_ids") or self._prompt
        self._usage = content.get("usage") or self._usage
        if not content["choices"]:
            return None
        piece = self._trimmed.of(read_piece(content["choices"][0]))
        self._add(piece)
        if not (piece.text or piece.thought or piece.tool_calls or piece.logprobs):
            return None
        return Chunk(
            piece.text, thought=piece.thought, tool_calls=piece.tool_calls, logprobs=piece.logprobs
        )

    def last(self) -> Chunk:
        if self._finish_reason is None:
            raise EngineUnavailable("the engine ended a completion without a finish reason")
        usage = read_usage(self._usage, prompt_tokens=0, generated=len(self._ids), thoughts=0)
        return Chunk("", self._text_ids(), self._finish_reason, usage)

    def _text_ids(self) -> tuple[int, ...]:
        """The tokens of the text; none if others are among them."""
        if not self._prompts.special.isdisjoint(self._ids):
            return ()
        decoded = TokenText(self._prompts.tokenizer, self._prompt)
        decoded.add(self._ids)
        text, ids = decoded.take()
        return ids if text == "".join(self._text) else ()

    def _add(self, piece: Piece) -> None:
        self._text.append(piece.text)
        self._calls_tools |= bool(piece.tool_calls)
        self._ids += piece.token_ids[:-1] if piece.by_token else piece.token_ids
        if piece.finish_reason in ("abort", "error"):
            raise EngineUnavailable(f"the engine gave up this completion ({piece.finish_reason})")
        if piece.finish_reason:
            self._finish_reason = finish_reason(
                piece.finish_reason, has_tool_calls=self._calls_tools
            )


def _error(error: Json, sampling: Sampling) -> EngineError:
    message = str(error.get("message") or "no reason given")
    if error.get("code") == 500 and sampling.constraint is not None:
        return EngineRefused(NOTHING_FOLLOWS)
    if isinstance(error.get("code"), int) and error["code"] < 500:
        overflow = in_openais_words(message)
        return PromptTooLong(overflow) if overflow else EngineRefused(message)
    return EngineUnavailable(f"the engine failed: {message}")
