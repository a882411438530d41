"""Errors: whatever goes wrong, the client reads ``{"error": {message, type, param, code}}``.

Routes raise ApiError, or let the errors of the engines, the loop and the door pass: ``describe``
knows them all. How to add one: a case in ``describe``, a row in tests/test_errors.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from redraft.server.admission import Rejected
from redraft.server.api.invalid import Invalid, explain, shown
from redraft.server.engine.base import EngineError, EngineRefused, EngineUnavailable, PromptTooLong
from redraft.server.refine.loop import NoDraft
from redraft.server.service import Draining

RETRY_AFTER_S = 5  # when the engine is away, or the server is going


class ErrorDetail(BaseModel):
    message: str
    type: str
    param: str | None = None
    code: str | None = None


class ErrorBody(BaseModel):
    """What every error looks like."""

    error: ErrorDetail


# For the documentation of a route.
RESPONSES: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": ErrorBody},
    "5XX": {"model": ErrorBody},
}


class ApiError(Exception):
    """An error as the client will read it."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str,
        param: str | None = None,
        type: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.param = status, message, code, param
        self.type = type or _type(status)
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        named = {"message": self.message, "type": self.type}
        return {"error": {**named, "param": self.param, "code": self.code}}

    def response(self) -> JSONResponse:
        return JSONResponse(self.body(), self.status, self.headers)

    def spent(self) -> ApiError:
        """The same, after tokens were spent: clients must not send the request again by
        themselves, and pay twice."""
        self.headers |= {"x-should-retry": "false"}
        self.headers.pop("Retry-After", None)
        return self


def invalid(param: str | None, message: str, code: str = "invalid_value") -> ApiError:
    """A request that will never work as it is."""
    return ApiError(400, message, code=code, param=param)


def describe(error: BaseException, prompt_param: str = "messages") -> ApiError:
    """Any error as the client will read it. ``prompt_param`` is the field the prompt came in."""
    match error:
        case ApiError():
            return error
        case Rejected():
            return _later(429, str(error), "rate_limit_exceeded", error.retry_after_s)
        case Draining():
            return _later(503, str(error), "shutting_down", RETRY_AFTER_S)
        case PromptTooLong():
            return invalid(prompt_param, str(error), "context_length_exceeded")
        case EngineRefused():
            return invalid(None, str(error), "unsupported_by_engine")
        case EngineUnavailable():
            return _later(503, str(error), "engine_unavailable", RETRY_AFTER_S)
        case EngineError():
            return ApiError(502, str(error), code="upstream_error")
        case NoDraft():
            return _no_draft(error)
        case Invalid():
            return invalid(error.param, str(error), error.code)
        case HTTPException():
            return _http(error)
        case _:
            return ApiError(500, "the server failed; its log has the reason", code="internal_error")


def add_handlers(app: FastAPI) -> None:
    for kind in (ApiError, Rejected, EngineError, NoDraft, HTTPException):
        app.add_exception_handler(kind, _answer)
    app.add_exception_handler(RequestValidationError, _answer_invalid)


async def _answer(request: Request, error: Exception) -> JSONResponse:
    path = request.url.path
    described = describe(error, "prompt" if path == "/v1/completions" else "messages")
    if described.code == "unknown_url":
        described.message = f"there is no {request.method} {shown(path)}; see /docs"
    return described.response()


async def _answer_invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    content_type = request.headers.get("content-type", "")
    if isinstance(error.body, bytes) and "json" not in content_type:
        got = f"the content type is {content_type[:60]!r}" if content_type else "no content type"
        message = f"{got}; send JSON, with the header 'Content-Type: application/json'"
        return ApiError(415, message, code="unsupported_media_type").response()
    return describe(explain(error.errors())).response()


def _later(status: int, message: str, code: str, seconds: int) -> ApiError:
    return ApiError(status, message, code=code, headers={"Retry-After": str(seconds)})


def _no_draft(error: NoDraft) -> ApiError:
    if error.reason == "draining":
        return _later(503, str(Draining()), "shutting_down", RETRY_AFTER_S)
    if error.reason == "deadline":
        message = "the deadline passed before there was a draft; raise refine.deadline_ms"
        return ApiError(504, message, code="deadline_exceeded").spent()
    if error.reason == "token_budget":
        message = "no token was left for a draft; raise max_completion_tokens"
        return invalid("max_completion_tokens", message)
    return ApiError(502, f"no draft could be written ({error.reason})", code="upstream_error")


def _http(error: HTTPException) -> ApiError:
    """What Starlette and FastAPI raise themselves."""
    codes = {404: "unknown_url", 405: "method_not_allowed", 413: "body_too_large"}
    message = str(error.detail)
    if error.status_code == 400:  # FastAPI could not even decode the body
        message, codes = "the request body is not JSON text in UTF-8", {400: "invalid_json"}
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "another method")
        message = f"this address does not take this method; use {allowed}"
    code = codes.get(error.status_code, "invalid_request")
    return ApiError(error.status_code, message, code=code, headers=error.headers)


def _type(status: int) -> str:
    if status >= 500:
        return "server_error"
    return {403: "permission_error", 429: "rate_limit_error"}.get(status, "invalid_request_error")
