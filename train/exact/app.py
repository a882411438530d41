"""The exact critic's and the exact judge's HTTP API.

    POST /v1/chat/completions   feedback and refinements; comparisons, with log-probabilities
    POST /v1/judge              {"prompt", "response"} -> {"right", "score", "problems"}
    GET  /v1/models, /health

--noise is about the critic: /v1/judge and comparisons stay exact. Errors have OpenAI's shape.
"""

from __future__ import annotations

import json
import math
import re
import time
import uuid
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from redraft.server.engine.base import Message
from redraft.server.refine.requests import REFINEMENT_HEADING
from redraft.train.exact.examiner import Examiner
from redraft.train.exact.requests import ComparisonRequest, NotUnderstood, ReviewRequest, read
from redraft.train.workbench.tasks import UnknownInstruction

MODEL = "exact"
LEAST_LOGPROB = -9999.0  # as OpenAI writes a probability of nothing
EVEN_LOGPROB = math.log(0.5)


class ChatBody(BaseModel):
    messages: list[Message]
    stream: bool = False
    max_tokens: int | None = None
    stop: str | list[str] | None = None


class JudgeBody(BaseModel):
    prompt: str
    response: str


def build_app(examiner: Examiner) -> FastAPI:
    app = FastAPI(title="Redraft's exact critic and judge")
    _add_errors(app)

    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/v1/models")
    def models() -> dict[str, Any]:
        return {"object": "list", "data": [{"id": MODEL, "object": "model", "owned_by": "redraft"}]}

    @app.post("/v1/judge")
    def judge_one(body: JudgeBody) -> dict[str, Any]:
        return asdict(examiner.judged(body.prompt, body.response))

    @app.post("/v1/chat/completions", response_model=None)
    def chat(body: ChatBody) -> dict[str, Any] | StreamingResponse:
        request = read(body.messages)
        if isinstance(request, ComparisonRequest):
            text, logprobs = _better(request, examiner)
        else:
            text, logprobs = _reviewed(request, examiner), None
        reply = _completion(body, text, logprobs)
        if not body.stream:
            return reply
        return StreamingResponse(_events(reply), media_type="text/event-stream")

    return app


def _reviewed(request: ReviewRequest, examiner: Examiner) -> str:
    review = examiner.opinion(request.instruction, request.response)
    if not request.refinement:
        return review.feedback
    if not review.refinement:
        raise NotUnderstood("a request for a refinement, which this critic does not write")
    if not request.feedback:
        return review.refinement
    return f"{review.feedback}\n\n{REFINEMENT_HEADING}\n{review.refinement}"


def _better(request: ComparisonRequest, examiner: Examiner) -> tuple[str, dict[str, float]]:
    """The name of the better answer, and the log-probability of each name: sure, or a tie."""
    one, other = (examiner.judged(request.instruction, answer).score for answer in request.answers)
    first, second = request.names
    if one == other:
        return first, {first: EVEN_LOGPROB, second: EVEN_LOGPROB}
    best, worst = (first, second) if one > other else (second, first)
    return best, {best: 0.0, worst: LEAST_LOGPROB}


def _completion(body: ChatBody, text: str, logprobs: dict[str, float] | None) -> dict[str, Any]:
    """In OpenAI's shape; a token is a word with the space before it."""
    for stop in [body.stop] if isinstance(body.stop, str) else body.stop or []:
        text = text.partition(stop)[0]
    words = re.findall(r"\s*\S+", text)
    cut = body.max_tokens is not None and len(words) > body.max_tokens
    words = words[: body.max_tokens]
    choice: dict[str, Any] = {
        "index": 0,
        "message": {"role": "assistant", "content": "".join(words)},
        "finish_reason": "length" if cut else "stop",
    }
    if logprobs:
        top = [{"token": token, "logprob": value} for token, value in logprobs.items()]
        choice["logprobs"] = {"content": [{**top[0], "top_logprobs": top}]}
    prompt = sum(len(message.content.split()) for message in body.messages)
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": MODEL,
        "choices": [choice],
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": len(words),
            "total_tokens": prompt + len(words),
        },
    }


def _events(reply: dict[str, Any]) -> Iterator[str]:
    """The same reply as a stream, in one piece."""
    (whole,) = reply["choices"]
    rest = {key: value for key, value in whole.items() if key not in ("message", "finish_reason")}
    head = {**reply, "object": "chat.completion.chunk"}
    usage = head.pop("usage")
    for choices in (
        [{**rest, "delta": whole["message"], "finish_reason": None}],
        [{"index": 0, "delta": {}, "finish_reason": whole["finish_reason"]}],
    ):
        yield f"data: {json.dumps({**head, 'choices': choices})}\n\n"
    yield f"data: {json.dumps({**head, 'choices': [], 'usage': usage})}\n\n"
    yield "data: [DONE]\n\n"


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(UnknownInstruction)
    @app.exception_handler(NotUnderstood)
    async def unknown(_: Any, error: ValueError) -> JSONResponse:
        kind = "instruction" if isinstance(error, UnknownInstruction) else "request"
        return _error(400, str(error), f"unknown_{kind}")

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Any, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return _error(400, f"{where}: {first['msg']}", "invalid_value")

    @app.exception_handler(HTTPException)
    async def http(_: Any, error: HTTPException) -> JSONResponse:
        return _error(error.status_code, str(error.detail), "not_found")


def _error(status: int, message: str, code: str) -> JSONResponse:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    return JSONResponse({"error": error}, status)
