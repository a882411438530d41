"""Encodes special tokens that are spelled out in text as text.

vLLM's /tokenize, like its chat endpoint, turns "<|end|>" in a user's words into the one token
that ends a message, and has no option against it. So each such id is replaced by the ids of its
spelling in two parts, which no tokenizer recognises. In a rendered chat the template's own
special tokens must stay: the chat is rendered again with other special tokens in the content,
and differs exactly where the content spelled them.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from redraft.server.engine.base import Chat, ChatOptions, Json, Message
from redraft.server.engine.spelling import (
    RENDERED,
    Change,
    broken,
    rewritten,
    rewritten_options,
    rewritten_request,
    spelled_out,
    words,
)

# A text or a chat -> its ids, and what each of them is called in the vocabulary.
Tokenize = Callable[[str | tuple[Message, ...]], Awaitable[tuple[list[int], list[str]]]]

# <|end|>, </s>, <start_of_turn>, [INST]. A false match costs two requests; a missed one would let
# a user forge a token.
_LOOKS_SPECIAL = re.compile(r"<[^<>\s]{1,80}>|\[/?[A-Z][A-Z_0-9]{1,30}\]")


class SpelledTokens:
    def __init__(self, tokenize: Tokenize) -> None:
        self._tokenize = tokenize
        self._spellings: dict[str, list[int]] = {}

    async def encode(self, text: str) -> tuple[int, ...]:
        ids, names = await self._tokenize(text)
        spelled = _spelled(names, [text])
        return await self._spell_out(ids, names, [name in spelled for name in names])

    async def in_texts(self, texts: Iterable[str]) -> set[str]:
        """The special tokens of this tokenizer that any of the texts spells."""
        candidates = {match[0] for text in texts for match in _LOOKS_SPECIAL.finditer(text)}
        if not candidates:
            return set()
        _, names = await self._tokenize("\n".join(sorted(candidates)))
        return _spelled(names, candidates)

    async def in_chat(self, messages: tuple[Message, ...], options: ChatOptions) -> set[str]:
        fields = [*options.tools, options.template_kwargs]
        return await self.in_texts([*map(words, messages), *map(spelled_out, fields)])

    async def options_without(self, options: ChatOptions) -> ChatOptions:
        """The options with the special tokens broken that they spell."""
        spelled = await self.in_chat((), options)
        return rewritten_options(options, _breaking(spelled)) if spelled else options

    async def request_without(self, request: Json) -> dict[str, Any]:
        """The same for a chat request as clients send it."""
        rendered = [request[name] for name in RENDERED if name in request]
        spelled = await self.in_texts(map(spelled_out, rendered))
        return rewritten_request(request, _breaking(spelled)) if spelled else dict(request)

    async def encode_chat(self, messages: tuple[Message, ...]) -> tuple[int, ...]:
        ids, names = await self._tokenize(messages)
        spelled = _spelled(names, map(words, messages))
        if not spelled:
            return tuple(ids)
        others = {name for name in names if _LOOKS_SPECIAL.fullmatch(name)}
        swapped = {s: next((o for o in sorted(others) if o != s), None) for s in spelled}
        if None not in swapped.values():
            swap = _replacing(spelled, lambda s: swapped[s] or "")
            other_ids, _ = await self._tokenize(tuple(rewritten(m, swap) for m in messages))
            if len(other_ids) == len(ids):
                differs = [one != other for one, other in zip(ids, other_ids, strict=True)]
                return await self._spell_out(ids, names, differs)
        # The template changes with its content (it may cut at "</think>"), or there is no other
        # special token: break the spelling with an invisible character.
        return tuple((await self._tokenize(without(Chat(messages), spelled).messages))[0])

    async def _spell_out(
        self, ids: list[int], names: list[str], marked: list[bool]
    ) -> tuple[int, ...]:
        out: list[int] = []
        for token, name, spell in zip(ids, names, marked, strict=True):
            if not spell:
                out.append(token)
                continue
            if name not in self._spellings:
                first, rest = await self._tokenize(name[0]), await self._tokenize(name[1:])
                self._spellings[name] = first[0] + rest[0]
            out += self._spellings[name]
        return tuple(out)


def without(chat: Chat, spelled: set[str]) -> Chat:
    """The chat with these special tokens broken by an invisible character."""
    change = _breaking(spelled)
    messages = tuple(rewritten(message, change) for message in chat.messages)
    return Chat(messages, rewritten_options(chat.options, change))


def _spelled(names: list[str], contents: Iterable[str]) -> set[str]:
    special = {name for name in names if _LOOKS_SPECIAL.fullmatch(name)}
    return {name for content in contents for name in special if name in content}


def _breaking(spelled: set[str]) -> Change:
    return _replacing(spelled, broken)


def _replacing(spelled: set[str], replacement: Change) -> Change:
    pattern = re.compile("|".join(re.escape(s) for s in sorted(spelled)))
    return lambda text: pattern.sub(lambda match: replacement(match[0]), text)
