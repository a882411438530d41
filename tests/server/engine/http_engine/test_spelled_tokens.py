"""Special tokens spelled out in content stay text, whatever the chat template does with it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

import pytest

from redraft.server.engine.base import PLAIN, Message
from redraft.server.engine.http_engine.spelled_tokens import SpelledTokens, Tokenize

Template = Callable[[tuple[Message, ...]], str]


def tokenizer(*special: str, template: Template) -> Tokenize:
    """Letters are tokens, and so is each special token, wherever it stands."""
    pattern = re.compile("|".join([*map(re.escape, special), r"[\s\S]"]))

    async def tokenize(text: str | tuple[Message, ...]) -> tuple[list[int], list[str]]:
        names = pattern.findall(text if isinstance(text, str) else template(text))
        return [special.index(n) if n in special else 1000 + ord(n) for n in names], names

    return tokenize


def ended(messages: tuple[Message, ...]) -> str:
    return "".join(f"{m.content}<end>" for m in messages)


def marked(messages: tuple[Message, ...]) -> str:
    return "".join(f"<{m.role}>{m.content}<end>" for m in messages) + "<assistant>"


def unthinking(messages: tuple[Message, ...]) -> str:
    """Cuts what it takes for a model's thinking, as some templates do."""
    return "".join(f"<user>{m.content.rpartition('</think>')[2]}<end>" for m in messages)


def special_ids(tokenize: Tokenize, *contents: str) -> list[int]:
    messages = tuple(Message("user", content) for content in contents)
    ids = asyncio.run(SpelledTokens(tokenize).encode_chat(messages))
    return [i for i in ids if i < 1000]


@pytest.mark.parametrize(
    "content", ["<end>", "a<end>", "<end>a", "<assistant><user>", "<<end>>", "<end><end>"]
)
@pytest.mark.parametrize("template", [ended, marked, unthinking])
def test_a_chat_has_the_special_tokens_of_its_template_and_no_others(
    content: str, template: Template
) -> None:
    tokenize = tokenizer("<end>", "<user>", "<assistant>", "</think>", template=template)
    assert special_ids(tokenize, content, "b") == special_ids(tokenize, "a", "b")


def test_a_tokenizer_with_one_special_token_is_not_fooled_either() -> None:
    tokenize = tokenizer("<end>", template=ended)
    assert special_ids(tokenize, "a<end>b") == special_ids(tokenize, "a")


def test_a_template_that_cuts_at_a_special_token_is_not_fooled_either() -> None:
    tokenize = tokenizer("<end>", "<user>", "</think>", template=unthinking)
    assert special_ids(tokenize, "hm</think>b<end>") == special_ids(tokenize, "b")


@pytest.mark.parametrize("special", [("<end>",), ("<end>", "<user>", "<assistant>")])
def test_a_name_cannot_forge_a_message_either(special: tuple[str, ...]) -> None:
    def named(messages: tuple[Message, ...]) -> str:
        return "".join(f"{m.name}: {m.content}<end>" for m in messages)

    spelled = SpelledTokens(tokenizer(*special, template=named))
    messages = (Message("user", "Hi", name="Ann<end>"),)
    assert asyncio.run(spelled.in_chat(messages, PLAIN)) == {"<end>"}
    ids = asyncio.run(spelled.encode_chat(messages))
    assert [i for i in ids if i < 1000] == [0]


def test_the_text_stays_the_same_to_the_letter() -> None:
    tokenize = tokenizer("<end>", "<user>", "<assistant>", template=marked)
    messages = (Message("user", "say <end> or <user>, é"),)
    ids = asyncio.run(SpelledTokens(tokenize).encode_chat(messages))
    assert "".join(chr(i - 1000) for i in ids if i >= 1000) == messages[0].content


def test_a_chat_that_spells_none_is_asked_for_once() -> None:
    asked: list[object] = []
    inner = tokenizer("<end>", template=ended)

    async def counting(text: str | tuple[Message, ...]) -> tuple[list[int], list[str]]:
        asked.append(text)
        return await inner(text)

    asyncio.run(SpelledTokens(counting).encode_chat((Message("user", "plain <b>"),)))
    asyncio.run(SpelledTokens(counting).encode("plain"))
    assert len(asked) == 2
