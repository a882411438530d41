"""A judge and a model on a real socket, both decided by the request: for tests of measurements.

The judge prefers the answer that contains "good"; an answer may also make it misbehave.
"""

from __future__ import annotations

import math
import re
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response

ANSWERS = re.compile(r"## Answer of model (\w)\n(.*?)\n\n## ", re.DOTALL)

Reply = dict[str, Any] | list[Any] | Response


def application() -> FastAPI:
    app = FastAPI()
    app.state.bodies = []

    @app.post("/v1/chat/completions", response_model=None)
    async def chat(request: Request) -> Any:
        body = await request.json()
        app.state.bodies.append(body)
        asked = body["messages"][-1]["content"]
        if body["model"] == "judge":
            return judged(asked)
        if "unanswerable" in asked:
            return refused(500)
        return {"choices": [message(f"good: {asked}")], "usage": {"completion_tokens": 3}}

    @app.post("/v1/feedback", response_model=None)
    async def feedback(request: Request) -> Reply:
        body = await request.json()
        app.state.bodies.append(body)
        if "broken" in body["response"]:
            return refused(500)
        # "8 of 10" scores 8; what names no number gets no score.
        found = re.match(r"(\d+) of 10", body["response"])
        score = int(found[1]) if found else None
        return {"object": "feedback", "feedback": "said", "score": score}

    return app


def judged(asked: str) -> Reply:
    for word, status in (("broken", 500), ("too long", 400)):
        if word in asked:
            return refused(status)
    for word, reply in MISBEHAVIOURS.items():
        if word in asked:
            return reply
    answers = dict(ANSWERS.findall(asked))
    first = 0.9 if "good" in answers["m"] else 0.2
    return verdict({"m": first, "M": 1 - first - 0.05, " m": 0.05})


def verdict(mass: dict[str, float]) -> dict[str, Any]:
    tokens = [{"token": token, "logprob": math.log(share)} for token, share in mass.items()]
    best = max(mass, key=lambda token: mass[token])
    return {"choices": [message(best) | {"logprobs": {"content": [{"top_logprobs": tokens}]}}]}


def message(text: str | None) -> dict[str, Any]:
    return {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}


def refused(status: int) -> JSONResponse:
    return JSONResponse({"error": {"message": "no", "type": "server_error"}}, status)


# What a judge may answer with HTTP 200 that is no verdict, by the word that brings it about.
MISBEHAVIOURS: dict[str, Reply] = {
    "no logprobs": {"choices": [message("m")]},
    "null logprobs": {"choices": [message("m") | {"logprobs": None}]},
    "refusal": verdict({"I": 0.999, "m": 0.0006, "M": 0.0004}),
    "content filter": {
        "choices": [
            {
                "message": {"role": "assistant", "content": None, "refusal": "I cannot."},
                "finish_reason": "content_filter",
                "logprobs": {"content": None, "refusal": []},
            }
        ]
    },
    "nonsense": verdict({"banana": 0.9, "#": 0.1}),
    "wrong numbers": verdict({"m": math.e, "M": 1.0}),
    "words for numbers": {
        "choices": [
            message("m")
            | {"logprobs": {"content": [{"top_logprobs": [{"token": "m", "logprob": "sure"}]}]}}
        ]
    },
    "no JSON": PlainTextResponse("m"),
    "no choices": {"choices": []},
    "no object": [],
}
