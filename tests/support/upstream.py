"""An OpenAI-compatible upstream on a real socket, as polite or as hostile as a test wants it.

    with serving(Scene("Paris").app()) as served: ...

By default it speaks vLLM's dialect (token ids, /tokenize); ``vllm=False`` makes it a hosted chat
API. Its tokens are the scripted engine's words, its chats rendered as that engine renders them,
but like vLLM's tokenizer it recognises special tokens spelled out in content.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from redraft.server.engine.base import Message
from redraft.server.engine.script import Say, deltas
from redraft.server.engine.words import Words

MODEL, WINDOW = "upstream-model", 512
SPECIAL = {"<|user|>": 3, "<|assistant|>": 4, "<|end|>": 0, "<|system|>": 2}
Json = dict[str, Any]


@dataclass(frozen=True)
class Refuse:
    """Answer the next completion with an error."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Stream:
    """Answer the next completion with these bytes, then cut the connection, end, or hang."""

    data: bytes = b""
    then: str = "end"  # or "cut", or "hang"
    content_type: str = "text/event-stream"
    status: int = 200


@dataclass
class Asked:
    client: Any  # its address and port
    path: str
    headers: dict[str, str]
    body: Json


class Scene:
    """One upstream: what it will say, and what it was asked."""

    def __init__(
        self,
        *replies: str | Say,
        vllm: bool = True,
        endless: bool = False,
        listed: tuple[str, ...] = (),  # models beside its own
        reply: Callable[[str], str | Say]
        | None = None,  # from the prompt's text, after the replies
    ) -> None:
        self.replies, self.vllm, self.endless, self.reply = list(replies), vllm, endless, reply
        self.listed = (MODEL, *listed)
        self.next: list[Refuse | Stream | None] = []  # instead of a reply; None: the reply
        self.asked: list[Asked] = []
        self.generating = 0
        self.words = Words()
        self.usage_told = True
        self.tokenized: Any = None  # the answer of /tokenize; None: a true one
        self.thinks_as = "reasoning"  # or "reasoning_content"
        self.stopped = threading.Event()  # once nothing is generated any more

    def app(self) -> Starlette:
        routes = [
            Route("/v1/models", self._models),
            Route("/v1/chat/completions", self._completions, methods=["POST"]),
        ]
        if self.vllm:
            routes += [
                Route("/v1/completions", self._completions, methods=["POST"]),
                Route("/tokenize", self._tokenize, methods=["POST"]),
            ]
        return Starlette(routes=routes)

    def completions(self) -> list[Asked]:
        """What it was asked for, without what engines ask to find out where they are."""
        return [a for a in self.asked if a.body.get("stream")]

    async def _models(self, request: Request) -> Response:
        card: Json = {"object": "model", "owned_by": "vllm" if self.vllm else "someone"}
        card |= {"max_model_len": WINDOW} if self.vllm else {}
        return JSONResponse({"data": [{"id": name, **card} for name in self.listed]})

    async def _tokenize(self, request: Request) -> Response:
        body = await request.json()
        if self.tokenized is not None:
            return JSONResponse(self.tokenized)
        if "prompt" in body:
            ids = self._recognising(body["prompt"])
        else:
            ids = self._rendered(body["messages"])
        names = [self.words.decode([i]).rstrip("\n") if i < 1000 else "word" for i in ids]
        return JSONResponse({"tokens": ids, "token_strs": names, "max_model_len": WINDOW})

    def _rendered(self, messages: list[Json]) -> list[int]:
        ids: list[int] = []
        for message in messages:
            role, *_, end = self.words.chat((Message(message["role"], ""),))[:-1]
            ids += [role, *self._recognising(Message.from_json(message).content), end]
        return [*ids, SPECIAL["<|assistant|>"]]

    def _recognising(self, text: str) -> list[int]:
        ids: list[int] = []
        for part in re.split(f"({'|'.join(map(re.escape, SPECIAL))})", text):
            ids += [SPECIAL[part]] if part in SPECIAL else self.words.encode(part)
        return ids

    async def _completions(self, request: Request) -> Response:
        body = await request.json()
        self.asked.append(
            Asked(tuple(request.client or ()), request.url.path, dict(request.headers), body)
        )
        if not body.get("stream") and ("return_token_ids" in body or not self.next):
            choice = {"text": "word", "token_ids": [1001], "finish_reason": "length", "index": 0}
            return JSONResponse({"choices": [choice]})
        act = self.next.pop(0) if self.next else None
        if "messages" in body and len(self._rendered(body["messages"])) >= WINDOW:
            error = {"message": "too long", "code": "context_length_exceeded"}
            return JSONResponse({"error": error}, 400)
        if isinstance(act, Refuse):
            return JSONResponse(act.body, act.status, act.headers)
        if isinstance(act, Stream):
            return StreamingResponse(self._act(act), act.status, media_type=act.content_type)
        return StreamingResponse(self._reply(body), media_type="text/event-stream")

    async def _act(self, act: Stream) -> AsyncIterator[bytes]:
        self.generating += 1
        try:
            yield act.data
            if act.then == "cut":
                raise ConnectionError("cut on purpose")
            if act.then == "hang":
                await asyncio.Event().wait()
        finally:
            self._done()

    async def _reply(self, body: Json) -> AsyncIterator[bytes]:
        chat = "messages" in body
        prompt = self._rendered(body["messages"]) if chat else body["prompt"]
        reply = self.replies.pop(0) if self.replies else self._made_up(prompt)
        say = reply if isinstance(reply, Say) else Say(reply)
        generated = 0
        self.generating += 1
        try:
            for word in self.words.split(say.thought):
                generated += 1
                delta: Json = {"index": 0, "delta": {self.thinks_as: word}}
                if body.get("return_token_ids"):
                    delta["token_ids"] = [*self.words.encode(word)]
                yield event({"choices": [delta]})
            for word, ids, choice in self._tokens(say.text, body):
                await asyncio.sleep(0)
                generated += len(ids)
                choice |= {"delta": {"content": word}} if chat else {"text": word}
                choice |= {"token_ids": ids} if body.get("return_token_ids") else {}
                choice |= {"logprobs": _logprobs(word, ids, chat)} if body.get("logprobs") else {}
                if say.tool_calls and choice["finish_reason"] == "stop":
                    for call in deltas(say.tool_calls):
                        yield event({"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]})
                    choice["finish_reason"] = "tool_calls"
                yield event({"choices": [{"index": 0, **choice}]})
            if self.usage_told:
                details = {"cached_tokens": len(prompt) // 2}
                usage = {"prompt_tokens": len(prompt), "completion_tokens": generated}
                yield event({"choices": [], "usage": usage | {"prompt_tokens_details": details}})
            yield b"data: [DONE]\n\n"
        finally:
            self._done()

    def _made_up(self, prompt: list[int]) -> str | Say:
        assert self.reply, "the scene has no more replies"
        return self.reply(self.words.decode(prompt))

    def _done(self) -> None:
        self.generating -= 1
        if not self.generating:
            self.stopped.set()

    def _tokens(self, text: str, body: Json) -> Iterator[tuple[str, list[int], Json]]:
        """The reply as vLLM would end it: at a stop token, a stop string, or a limit."""
        limit = body.get("max_tokens") or body.get("max_completion_tokens") or WINDOW
        words: Iterable[str] = self.words.split(text)
        if self.endless or body.get("ignore_eos"):
            words = itertools.cycle(words)
        words = list(itertools.islice(words, limit))
        end, stop = _first_stop("".join(words), body)
        said = 0
        for count, word in enumerate(words, 1):
            (token,) = self.words.encode(word)
            if token in body.get("stop_token_ids", ()):
                yield "", [token], {"finish_reason": "stop", "stop_reason": token}
                return
            shown, said = word[: max(0, end - said)], said + len(word)
            if stop and said >= end + (0 if body.get("include_stop_str_in_output") else len(stop)):
                yield shown, [token], {"finish_reason": "stop", "stop_reason": stop}
                return
            yield shown, [token], {"finish_reason": "length" if count == limit else None}
            if count == limit:
                return
        yield "", [SPECIAL["<|end|>"]], {"finish_reason": "stop", "stop_reason": None}


def _logprobs(word: str, ids: list[int], chat: bool) -> Json:
    """One entry for each token, in the shape of a chat or of a completion."""
    if chat:
        return {"content": [{"token": word, "logprob": 0.0, "top_logprobs": []} for _ in ids]}
    return {"tokens": [word for _ in ids], "token_logprobs": [0.0 for _ in ids]}


def _first_stop(text: str, body: Json) -> tuple[int, str]:
    """Where the shown text ends, and the stop string that ends it."""
    found = [(text.index(stop), stop) for stop in body.get("stop", ()) if stop in text]
    if not found:
        return len(text), ""
    start, stop = min(found)
    return start + (len(stop) if body.get("include_stop_str_in_output") else 0), stop


def event(data: Any) -> bytes:
    return f"data: {json.dumps(data)}\n\n".encode()


def words_then(data: bytes, *words: str) -> bytes:
    """A chat stream's beginning, and what comes after it."""
    deltas = [event({"choices": [{"index": 0, "delta": {"content": w}}]}) for w in words]
    return b"".join(deltas) + data
