"""Errors: clients get all of them as ``{"error": {message, type, param, code}}``.

Routes raise ApiError; ``describe`` translates the exceptions of the layers below. How to add one:
a case in ``describe``, a row in tests/server/api/test_errors.py.

``_wrong_field`` turns pydantic's errors into one sentence about one field. Values are quoted only
when they are short: an error must not be larger than its request.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from redraft.server.admission import Rejected
from redraft.server.api.schema.answers import ErrorBody
from redraft.server.engine.base import EngineError, EngineRefused, EngineUnavailable, PromptTooLong
from redraft.server.refine.loop import NoDraft
from redraft.server.service import Draining

RETRY_AFTER_S = 5  # while the engine is unavailable or the server drains

FieldPath = tuple[str | int, ...]
# Names that pydantic puts into a path for the branches of a union; no field has such a name.
_BRANCHES = {
    *("str", "constrained-str", "text-content", "parts-content"),
    *("one-text", "token-ids", "texts", "id-lists"),
    *("tool-choice", "named-tool"),
}
_VALIDATION_CODES = {
    "missing": "missing_required_parameter",
    "unknown_field": "unknown_parameter",
    "json_invalid": "invalid_json",
}


class ApiError(Exception):
    """An error in OpenAI's shape."""

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

    def body(self) -> ErrorBody:
        return {
            "error": {
                "message": self.message,
                "type": self.type,
                "param": self.param,
                "code": self.code,
            }
        }

    def response(self) -> JSONResponse:
        return JSONResponse(self.body(), self.status, self.headers)

    def spent(self) -> ApiError:
        """The same error after tokens were spent: with headers that keep client libraries from
        retrying, which would spend them twice."""
        self.headers |= {"x-should-retry": "false"}
        self.headers.pop("Retry-After", None)
        return self


def invalid(param: str | None, message: str, code: str = "invalid_value") -> ApiError:
    """The error for a request that has to be changed."""
    return ApiError(400, message, code=code, param=param)


def describe(error: BaseException, prompt_param: str = "messages") -> ApiError:
    """Any error as an ApiError. ``prompt_param`` is the field that holds the prompt."""
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
            return invalid(None, error.told, "unsupported_by_engine")
        case EngineUnavailable():
            return _later(503, error.told, "engine_unavailable", RETRY_AFTER_S)
        case EngineError():
            return ApiError(502, error.told, code="upstream_error")
        case NoDraft():
            return _no_draft(error)
        case HTTPException():
            return _http(error)
        case _:
            return ApiError(500, "the server failed; its log has the reason", code="internal_error")


def add_handlers(app: FastAPI) -> None:
    for kind in (ApiError, Rejected, EngineError, NoDraft, HTTPException):
        app.add_exception_handler(kind, _answer)
    app.add_exception_handler(RequestValidationError, _answer_invalid)


async def _answer(request: Request, error: Exception) -> JSONResponse:
    described = describe(error)
    if described.code == "unknown_url":
        described.message = f"there is no {request.method} {_shown(request.url.path)}; see /docs"
    return described.response()


async def _answer_invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    content_type = request.headers.get("content-type", "")
    if isinstance(error.body, bytes) and "json" not in content_type:
        got = f"the content type is {content_type[:60]!r}" if content_type else "no content type"
        message = f"{got}; send JSON, with the header 'Content-Type: application/json'"
        return ApiError(415, message, code="unsupported_media_type").response()
    return _wrong_field(error.errors()).response()


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
    """The errors that Starlette and FastAPI raise."""
    codes = {404: "unknown_url", 405: "method_not_allowed", 413: "body_too_large"}
    message = str(error.detail)
    if error.status_code == 400:  # FastAPI could not decode the body
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


def _wrong_field(problems: Sequence[Any]) -> ApiError:
    """The error for the most specific of pydantic's problems with the first wrong field."""
    if problems[0]["type"] == "json_invalid":
        place, problem = problems[0]["loc"][-1], problems[0]["ctx"]["error"]
        message = f"the request body is not valid JSON: {problem} at character {place}"
        return invalid(None, message, "invalid_json")
    paths = [_path(problem) for problem in problems]
    # The deepest problem of a field is in the branch of the union that the caller meant.
    field = paths[0][:1]
    deepest = max((path for path in paths if path[:1] == field), key=len)
    chosen = [problem for problem, path in zip(problems, paths, strict=True) if path == deepest]
    param = _spelled(deepest) or None
    kind: str = chosen[0]["type"]
    otherwise = "invalid_type" if kind.endswith("_type") else "invalid_value"
    return invalid(param, _message(param, chosen), _VALIDATION_CODES.get(kind, otherwise))


def _spelled(path: FieldPath) -> str:
    """``messages[0].content``"""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _path(problem: Any) -> FieldPath:
    path = [
        part
        for part in problem["loc"][1:]
        if isinstance(part, int) or (part not in _BRANCHES and "[" not in part)
    ]
    if "field" in problem.get("ctx", {}):  # raised by a validator of the object around it
        path.append(problem["ctx"]["field"])
    return tuple(path)


def _message(param: str | None, chosen: Sequence[Any]) -> str:
    first = chosen[0]
    if param is None:
        sent = first.get("input")
        instead = "" if sent is None else f", not {_shown(sent)}"
        return f"the request body should be a JSON object{instead}"
    if first["type"] == "missing":
        return f"{param} is required"
    if first["type"] in ("value_error", "unknown_field", "contradiction"):
        return f"{param}: {_plain(first['msg'])}"
    expected = list(dict.fromkeys(_plain(problem["msg"]) for problem in chosen))
    # "should be a valid string or a valid list"
    rest = [text.removeprefix("it should be ") for text in expected[1:]]
    return f"{param} is {_shown(first.get('input'))}; " + " or ".join([expected[0], *rest])


def _plain(message: str) -> str:
    """pydantic's message, worded to continue a sentence."""
    message = message.removeprefix("Value error, ").replace(" after validation", "")
    return re.sub(r"^(Input|List|String) should", "it should", message)


def _shown(value: Any) -> str:
    """A value from a request, short enough to be quoted."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, bytes):
        return "bytes"
    text = repr(value) if not isinstance(value, int) or abs(value) < 10**40 else "a huge number"
    return text if len(text) <= 60 else f"{text[:57]}..."
