"""vLLM's own OpenAI application over the same core: tools, logprobs, n and its other features."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

from vllm.entrypoints.launchers.api_server.app_state import init_app_state
from vllm.entrypoints.launchers.app import build_app

from redraft.server.engine.base import PromptTooLong
from redraft.server.engine.vllm_engine.predictions import Predictions
from redraft.server.engine.vllm_engine.prompts import Prompts

Encode = Callable[[str], Awaitable[list[int]]]
CHATS = "/v1/chat/completions"
PATHS = (CHATS, "/v1/completions", "/tokenize", "/detokenize")


async def build_direct(llm: Any, args: Namespace) -> Any:
    """The ASGI application. Its errors are vLLM's; access control and limits are ours."""
    tasks = await llm.get_supported_tasks()
    app = build_app(args, tasks, llm.model_config)
    await init_app_state(llm, app.state, args, tasks)
    app.router.routes = [r for r in app.router.routes if getattr(r, "path", None) in PATHS]
    app.user_middleware.clear()
    # vLLM's handlers set should_exit when the engine is dead; VllmEngine restarts it instead.
    app.state.server = SimpleNamespace(should_exit=False)
    return app


class SpelledChats:
    """The application, given chats in which no special token is spelled out: it would recognise
    them, whoever wrote them. The prompts of completions are the caller's own, token for token.
    A prediction, which vLLM does not know, goes with the arguments that it hands to the worker."""

    def __init__(
        self, app: Any, prompts: Prompts, predictions: Predictions, encode: Encode
    ) -> None:
        self._app, self._prompts = app, prompts
        self._predictions, self._encode = predictions, encode

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] != CHATS:
            await self._app(scope, receive, send)
            return
        message = await receive()  # the body comes in one piece
        try:
            request = json.loads(message.get("body", b""))
        except ValueError:  # the application answers with an error of its own
            request = None
        if isinstance(request, dict):
            request = await self._predicted(self._prompts.request_without_special(request))
            body = json.dumps(request).encode()
            message = {**message, "body": body}
            scope = {**scope, "headers": _with_length(scope["headers"], len(body))}
        asked = [message]

        async def receive_again() -> Any:
            return asked.pop() if asked else await receive()

        await self._app(scope, receive_again, send)

    async def _predicted(self, request: dict[str, Any]) -> dict[str, Any]:
        given, arguments = request.pop("prediction", None), request.get("vllm_xargs") or {}
        if not (given and self._predictions.are_used and isinstance(arguments, dict)):
            return request
        content = given["content"]
        parts = [content] if isinstance(content, str) else [part["text"] for part in content]
        with suppress(PromptTooLong):  # then it is of no use
            ids = await self._encode("".join(parts))
            return request | {"vllm_xargs": arguments | self._predictions.arguments(ids)}
        return request


def _with_length(headers: list[tuple[bytes, bytes]], length: int) -> list[tuple[bytes, bytes]]:
    others = [(name, value) for name, value in headers if name.lower() != b"content-length"]
    return [*others, (b"content-length", str(length).encode())]
