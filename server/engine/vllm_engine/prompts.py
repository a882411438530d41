"""Text and chats to token ids, with no special token recognised in message content.

A chat template puts special tokens around content. Content that spells one out
(``<|feedback|>``) must stay text, or the writer of an instruction could forge a phase.
"""

from __future__ import annotations

import json
import re
import secrets
from contextlib import suppress
from typing import Any

from jinja2 import TemplateError
from tokenizers import Tokenizer

from redraft.server.engine import strict_json
from redraft.server.engine.base import PLAIN, ChatOptions, EngineError, EngineRefused, Json, Message
from redraft.server.engine.chat_body import THINKING, template_kwargs
from redraft.server.engine.overflow import too_many_characters
from redraft.server.engine.spelling import broken, rewritten, rewritten_options, rewritten_request
from redraft.server.engine.vllm_engine.templates import in_parts, wants_parts

SHORTEST_REFUSED = 100_000  # characters; encoding so many takes a tenth of a second


class Prompts:
    """Makes prompts for one tokenizer."""

    def __init__(self, tokenizer: Any, chat_template: str | None) -> None:
        """``tokenizer`` is the one transformers loads; it must be backed by a tokenizer.json."""
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if not isinstance(backend, Tokenizer):
            raise EngineError(
                f"the model's tokenizer is a {type(tokenizer).__name__}, token-exact phases need "
                f"one from tokenizer.json; try --tokenizer-mode hf"
            )
        self.tokenizer = backend
        self._template = chat_template
        self._chat = tokenizer
        decoder = backend.get_added_tokens_decoder()
        self.special = frozenset(id for id, token in decoder.items() if token.special)
        added = {token.content: id for id, token in decoder.items()}
        self._added = added
        by_length = sorted(added, key=len, reverse=True)  # the longest match wins, as in tokenizers
        self._spelled = re.compile("|".join(map(re.escape, by_length)) or r"(?!)")
        self._plain = _without_added_tokens(backend)
        self._longest = max(map(len, backend.get_vocab(with_added_tokens=True)))
        self._in_parts = wants_parts(lambda records: self._render(records, PLAIN))

    def check_length(self, characters: int, window: int) -> None:
        """Raise PromptTooLong for a text that cannot fit ``window`` tokens, without encoding it:
        megabytes take seconds to encode."""
        if characters > max(window * self._longest, SHORTEST_REFUSED):
            raise too_many_characters(window, characters)

    def check_chat(self, messages: tuple[Message, ...], window: int) -> int:
        """Check the text of all messages; returns its length."""
        characters = sum(len(message.content) for message in messages)
        self.check_length(characters, window)
        return characters

    def encode(self, text: str) -> list[int]:
        """The tokens of text, no special token recognised or added."""
        return _ids(self._plain, text)

    @property
    def switches(self) -> tuple[str, ...]:
        """The variables by which the chat template lets the model think or not."""
        template = self._template or self._chat.chat_template or ""
        return tuple(name for name in THINKING if re.search(rf"\b{name}\b", str(template)))

    def without_special(self, message: Message) -> Message:
        """The message with the special tokens that it spells out broken, for vLLM's own renderer,
        which would recognise them."""
        return rewritten(message, self._break)

    def options_without_special(self, options: ChatOptions) -> ChatOptions:
        return rewritten_options(options, self._break)

    def request_without_special(self, request: Json) -> dict[str, Any]:
        """The same for a chat request as clients send it."""
        return rewritten_request(request, self._break)

    def _break(self, text: str) -> str:
        return self._spelled.sub(lambda match: broken(match[0]), text)

    def encode_chat(self, messages: tuple[Message, ...], options: ChatOptions = PLAIN) -> list[int]:
        """The tokens of the chat, with the beginning of the assistant's next message."""
        hidden = _Hidden(self._spelled)
        records = [self._record(rewritten(message, hidden.hide)) for message in messages]
        rendered = self._render(records, rewritten_options(options, hidden.hide))
        if not hidden.words:
            return _ids(self.tokenizer, rendered)
        return self._encode_with(rendered, hidden)

    def _record(self, message: Message) -> dict[str, Any]:
        """The message as the template takes it: text, and arguments of tool calls as objects."""
        content = in_parts(message.content) if self._in_parts else message.content
        record = {**message.to_json(), "content": content}
        if calls := record.get("tool_calls"):
            record["tool_calls"] = [_call(call) for call in calls]
        return record

    def _render(self, records: list[dict[str, Any]], options: ChatOptions) -> str:
        try:
            return str(
                self._chat.apply_chat_template(
                    records,
                    chat_template=self._template,
                    add_generation_prompt=True,
                    tokenize=False,
                    tools=list(options.tools) or None,
                    **template_kwargs(options, self.switches),
                )
            )
        except (TemplateError, ValueError) as error:
            raise EngineRefused(f"the model's chat template does not take this: {error}") from error

    def _encode_with(self, rendered: str, hidden: _Hidden) -> list[int]:
        """Encode as the tokenizer would: special tokens first, then the text between them."""
        ids: list[int] = []
        start = 0
        for match in self._spelled.finditer(rendered):
            ids += self.encode(hidden.reveal(rendered[start : match.start()]))
            ids.append(self._added[match[0]])
            start = match.end()
        return ids + self.encode(hidden.reveal(rendered[start:]))


class _Hidden:
    """Stand-ins for the special tokens that content spells out, while a template is rendered."""

    def __init__(self, spelled: re.Pattern[str]) -> None:
        self._spelled = spelled
        self._nonce = secrets.token_hex(8)  # so that no content can contain a stand-in
        self.words: list[str] = []

    def hide(self, text: str) -> str:
        return self._spelled.sub(self._stand_in, text)

    def reveal(self, text: str) -> str:
        pattern = rf"{self._nonce}x(\d+)x"
        return re.sub(pattern, lambda match: self.words[int(match[1])], text)

    def _stand_in(self, match: re.Match[str]) -> str:
        self.words.append(match[0])
        return f"{self._nonce}x{len(self.words) - 1}x"


def _call(call: dict[str, Any]) -> dict[str, Any]:
    function = dict(call["function"])
    with suppress(ValueError, TypeError):  # a model may have written no JSON
        function["arguments"] = strict_json.loads(function["arguments"])
    return {**call, "function": function}


def _ids(tokenizer: Tokenizer, text: str) -> list[int]:
    # A batch is encoded without the interpreter's lock, a single text is not.
    return list(tokenizer.encode_batch([text], add_special_tokens=False)[0].ids)


def _without_added_tokens(tokenizer: Tokenizer) -> Tokenizer:
    """A copy of the tokenizer with no special tokens: recognising them cannot be switched off for
    those that are not marked special, such as <think>."""
    content = json.loads(tokenizer.to_str())
    content["added_tokens"] = []
    content["post_processor"] = None  # it adds special tokens
    return Tokenizer.from_str(json.dumps(content))
