"""HttpEngine: completions from an upstream, retried until the first token has arrived."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from redraft.server.engine import chat_body
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
    Json,
    Message,
    Prompt,
    Sampling,
    Tokens,
)
from redraft.server.engine.http_engine.answer import Answer, Retryable, Unsupported
from redraft.server.engine.http_engine.connection import Connection
from redraft.server.engine.http_engine.forms import Forms
from redraft.server.engine.http_engine.pass_through import PassThrough
from redraft.server.engine.http_engine.request import Dialect
from redraft.server.engine.http_engine.spelled_tokens import SpelledTokens, without
from redraft.server.engine.http_engine.upstream import Patience, Upstream, call_headers
from redraft.server.engine.overflow import too_long
from redraft.server.engine.surrogates import whole

T = TypeVar("T")
log = logging.getLogger(__name__)

USAGE_S = 5.0  # for the usage and the end of a stream, once the completion has ended
UNKNOWN_WINDOW = 131_072  # upstreams that do not report theirs host large models


class HttpEngine:
    """Made by ``connect``, which discovers what the upstream supports."""

    writes_on = False  # no OpenAI API goes on past a stop token
    predicts = False  # hosted models refuse a prediction that they cannot use

    def __init__(self, upstream: Upstream, connection: Connection) -> None:
        self.name, self.model = upstream.name, upstream.model
        self.window = upstream.window or UNKNOWN_WINDOW
        self.has_tokens = False
        self.listed: tuple[str, ...] = ()  # every model of the upstream, adapters included
        self.thinks, self.calls_tools = upstream.thinks, upstream.calls_tools
        self._has_thought = False  # ever
        # An upstream does not show its template; without these it thinks as it does by itself.
        self._switches = chat_body.THINKING if upstream.thinks else ()
        self._upstream, self._connection = upstream, connection
        self._spelled = SpelledTokens(self._tokenize)

    @classmethod
    async def connect(cls, upstream: Upstream) -> HttpEngine:
        engine = cls(upstream, Connection(upstream))
        try:
            await engine._discover()
        except BaseException:  # cancellation, too, must not leave the client open
            await engine.close()
            raise
        kind = "token ids" if engine.has_tokens else "chat messages only"
        log.info("upstream serves %s, %s, window %d", engine.model, kind, engine.window)
        return engine

    async def generate(
        self, prompt: Prompt, sampling: Sampling, call: Call
    ) -> AsyncGenerator[Chunk, None]:
        try:
            async with aclosing(self._generate(prompt, sampling, call)) as chunks:
                async for chunk in chunks:
                    yield chunk
        except EngineError as error:
            if error.detail:
                log.warning("call %s: %s", call.request_id, error)
                error.tells_all = self._upstream.tells_errors
            raise

    async def _generate(
        self, prompt: Prompt, sampling: Sampling, call: Call
    ) -> AsyncGenerator[Chunk, None]:
        prompt = await self._rendered(prompt)
        sampling = self._within_window(prompt, sampling)
        patience = Patience(self._upstream, call.timeout_s)
        while True:
            held = self._forms.hold(sampling)
            try:
                async with aclosing(self._attempt(prompt, held, call, patience)) as chunks:
                    async for chunk in chunks:
                        yield chunk
                return
            except EngineRefused as refusal:
                if self._forms.learn(refusal, sampling, held):
                    continue
                if not isinstance(refusal, Unsupported):
                    raise
                self._dialect.learn(refusal)
            except Retryable as failure:
                await patience.before_retry(failure)

    @property
    def constrains(self) -> Constrains | None:
        return self._forms.constrains

    async def encode(self, text: str) -> tuple[int, ...]:
        self._need_tokens()
        return await self._spelled.encode(text)

    async def encode_chat(
        self, messages: tuple[Message, ...], options: ChatOptions = PLAIN
    ) -> tuple[int, ...]:
        self._need_tokens()
        if options == PLAIN:
            return await self._spelled.encode_chat(messages)
        options = await self._spelled.options_without(options)
        fields = chat_body.template_fields(options, self._switches)
        return await SpelledTokens(partial(self._tokenize, fields=fields)).encode_chat(messages)

    async def check(self) -> None:
        try:
            url = f"{self._upstream.api}/models"
            await self._connection.ask("GET", url, None, self._upstream.connect_s)
        except EngineRefused as error:
            raise EngineUnavailable(error.message, error.detail) from error

    async def close(self) -> None:
        await self._connection.close()

    async def _attempt(
        self, prompt: Prompt, sampling: Sampling, call: Call, patience: Patience
    ) -> AsyncGenerator[Chunk, None]:
        """One request. Retryable only while nothing has been generated."""
        body = self._dialect.body(prompt, sampling)
        if call.adapter is not None:
            body["model"] = call.adapter  # vLLM lists its adapters as models
        if self._upstream.priority:
            body["priority"] = call.priority
        path = "completions" if isinstance(prompt, Tokens) else "chat/completions"
        url, headers = f"{self._upstream.api}/{path}", call_headers(call, patience.failures)
        answer = Answer(sampling)

        def wait_s() -> float:
            if answer.finish_reason is not None:
                return min(USAGE_S, self._connection.between_s())
            return self._connection.between_s() if answer.begun else patience.wait_s()

        try:
            events = self._connection.events(url, body, headers, wait_s)
            async with aclosing(events):
                async for event in events:
                    heard = answer.read(event)
                    if chunk := heard.chunk():
                        self._has_thought |= bool(chunk.thought)
                        yield chunk
                    if fragment := heard.released.fragment:
                        ids = await self.encode(fragment) if answer.exact else ()
                        yield Chunk(fragment, ids)
                    if answer.over:
                        break
        except EngineUnavailable as failure:
            # An upstream that is lost after the end of a completion takes nothing of it away.
            if answer.finish_reason is None:
                if answer.begun and isinstance(failure, Retryable):
                    raise EngineUnavailable(failure.message, failure.detail) from failure
                raise
        rest = answer.rest()
        usage = answer.usage(len(prompt.ids) if isinstance(prompt, Tokens) else 0)
        yield Chunk(rest.text, rest.token_ids, answer.finish_reason, usage)

    async def _rendered(self, prompt: Prompt) -> Prompt:
        """The prompt, as tokens where the upstream's chat endpoint would recognise a special token
        in what a user wrote."""
        if isinstance(prompt, Tokens):
            self._need_tokens()
        elif self.has_tokens:
            spelled = await self._spelled.in_chat(prompt.messages, prompt.options)
            if not spelled:
                return prompt
            # As tokens, a thinking model's thoughts would come back among its text.
            if prompt.is_plain and not (self.thinks or self._has_thought):
                return Tokens(await self.encode_chat(prompt.messages))
            return without(prompt, spelled)
        return prompt

    def _within_window(self, prompt: Prompt, sampling: Sampling) -> Sampling:
        if isinstance(prompt, Chat):
            return sampling
        # /completions generates 16 tokens when max_tokens is left out.
        room = self.window - len(prompt.ids)
        if room < 1:
            raise too_long(self.window, len(prompt.ids))
        max_tokens = room if sampling.max_tokens is None else min(room, sampling.max_tokens)
        return replace(sampling, max_tokens=max_tokens)

    def _need_tokens(self) -> None:
        if not self.has_tokens:
            raise EngineRefused(f"engine {self.name!r} has no token ids; ask it with Chat prompts")

    async def _discover(self) -> None:
        """Find out the model, its window, and whether the upstream takes token ids as vLLM does."""
        models = await self._ask("GET", f"{self._upstream.api}/models")
        cards = {whole(card["id"]): card for card in _cards(models)}
        self.listed = tuple(cards)
        self.model = self._upstream.model or next(iter(cards), "")
        if not self.model:
            raise EngineUnavailable("the upstream lists no model; name one")
        if cards and self.model not in cards:
            names = ", ".join(list(cards)[:8])
            log.warning("the upstream does not list model %r; it lists %s", self.model, names)
        window = cards.get(self.model, {}).get("max_model_len")
        if type(window) is int and window > 0 and self._upstream.window is None:
            self.window = window
        tokens = self._upstream.tokens
        self.has_tokens = await self._supports_tokens() if tokens is None else tokens
        self._forms = Forms(vllm=self.has_tokens)
        self._dialect = Dialect(self.model, self.has_tokens, self._switches)
        spelled = self._spelled if self.has_tokens else None
        self.direct = PassThrough(
            self._connection, self._upstream, self.model, self.listed, spelled
        )

    async def _supports_tokens(self) -> bool:
        try:
            ids, _ = await self._tokenize("word")
            body = {"model": self.model, "prompt": ids, "max_tokens": 1, "return_token_ids": True}
            completion = await self._ask("POST", f"{self._upstream.api}/completions", body)
            return bool(completion["choices"][0]["token_ids"])
        except Retryable:
            raise
        except (EngineError, LookupError, TypeError):  # not vLLM: no such route, other fields
            return False

    async def _tokenize(
        self, text: str | tuple[Message, ...], fields: Json | None = None
    ) -> tuple[list[int], list[str]]:
        """``fields``: what else the upstream renders a chat from."""
        body: dict[str, Any] = {"model": self.model, "return_token_strs": True}
        if isinstance(text, str):
            body |= {"prompt": text, "add_special_tokens": False}
        else:
            body["messages"] = [message.to_json() for message in text]
            body |= fields or {}
        answer = await self._ask("POST", f"{self._upstream.root}/tokenize", body)
        fields = answer if isinstance(answer, dict) else {}
        ids = _all(int, fields.get("tokens"))
        names = _all(str, fields.get("token_strs"))
        if ids is None or names is None or len(ids) != len(names):
            raise EngineUnavailable("the upstream's /tokenize answered no tokens")
        return ids, names

    async def _ask(self, method: str, url: str, body: Any = None) -> Any:
        patience = Patience(self._upstream)
        while True:
            try:
                return await self._connection.ask(method, url, body, patience.wait_s())
            except Retryable as failure:
                await patience.before_retry(failure)


def _all(kind: type[T], values: Any) -> list[T] | None:
    """The list, if it is one and everything in it is of this type."""
    listed = isinstance(values, list) and all(type(value) is kind for value in values)
    return values if listed else None


def _cards(models: Any) -> list[dict[str, Any]]:
    data = models.get("data") if isinstance(models, dict) else None
    cards = data if isinstance(data, list) else []
    return [card for card in cards if isinstance(card, dict) and isinstance(card.get("id"), str)]
