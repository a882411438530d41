"""A critic behind an OpenAI-compatible API on a real socket, as hostile as a test wants it.

    critic = CriticServer(trouble=lambda number: "cut" if number % 5 == 0 else None)
    with serving(critic, lifespan="off") as served: ...

It drafts for the model "base" and writes Table 1 answers for any other; what it says depends on
the request alone. ``paid`` counts, for each different request, how often it was answered whole.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.support.upstream import event

Trouble = Callable[[int], str | None]  # number of the request -> what goes wrong with it


class CriticServer:
    def __init__(self, trouble: Trouble = lambda number: None, delay_s: float = 0.0) -> None:
        self.paid: Counter[str] = Counter()
        self.most_at_once = 0
        self.requests = 0
        self._now = 0
        self._trouble, self._delay_s = trouble, delay_s
        routes = [
            Route("/v1/models", self._models),
            Route("/v1/chat/completions", self._chat, methods=["POST"]),
        ]
        self._app = Starlette(routes=routes)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._app(scope, receive, send)

    async def _models(self, request: Request) -> Response:
        return JSONResponse({"data": [{"id": "base"}, {"id": "critic"}, {"id": "other"}]})

    async def _chat(self, request: Request) -> Response:
        body = await request.json()
        self.requests += 1
        trouble = self._trouble(self.requests)
        if trouble == "429":
            said = {"error": {"message": "slow down", "type": "rate_limit", "code": "rate_limit"}}
            return JSONResponse(said, 429, {"retry-after": "0"})
        if trouble == "500":
            return Response("upstream fell over", 500)
        if trouble == "refuse":
            said = {"error": {"message": "content policy", "type": "invalid_request_error"}}
            return JSONResponse(said, 400)
        return StreamingResponse(self._stream(body, trouble), media_type="text/event-stream")

    async def _stream(self, body: dict[str, Any], trouble: str | None) -> Any:
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        try:
            await asyncio.sleep(self._delay_s)
            if trouble == "hang":
                await asyncio.Event().wait()
            text = "I cannot say." if trouble == "malformed" else answer(body)
            for word in text.split(" "):
                yield event({"choices": [{"index": 0, "delta": {"content": word + " "}}]})
                if trouble == "cut":
                    raise ConnectionError("cut on purpose")
            yield event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
            usage = {"prompt_tokens": 100, "completion_tokens": 50}
            yield event({"choices": [], "usage": usage})
            yield b"data: [DONE]\n\n"
            self.paid[digest(body)] += 1
        finally:
            self._now -= 1


def digest(body: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def answer(body: dict[str, Any]) -> str:
    """What a patient and honest model would say."""
    said = body["messages"][-1]["content"]
    if body["model"] == "base":
        return f"A draft on {hashlib.sha256(said.encode()).hexdigest()[:6]}"
    quoted = said.split("### Response\n")[1].split("\n\n### Requirements")[0]
    response = quoted.partition("\n")[2].rpartition("\n")[0]
    better = response.startswith("Better")
    score = 9 if better else 2 + sum(response.encode()) % 4
    score -= body["model"] == "other"
    feedback = f"1. Weaknesses: It is {response[:12]!r}.\n2. Suggestions: Say more.\n"
    feedback += f"3. Overall Score: [[{score}]]"
    if "Improved Response: after" not in said:
        return feedback
    return f"{feedback}\n\n### Improved Response\nBetter: {response}"
