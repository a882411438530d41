"""What the two clients share: requests, how answers are read, retries and errors."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypedDict, TypeVar

import httpx

from redraft.clients.wire import (
    Feedback,
    Instruction,
    RedraftError,
    Refined,
    RefineOptions,
    error_of,
    request_body,
)

URL = "http://127.0.0.1:8000"
CONNECT_S = 10.0
LONGEST_WAIT_S = 120.0  # the server never asks for a longer one
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ApiCall(Generic[T]):
    """One request and how its answer is read."""

    method: str
    path: str
    body: Mapping[str, Any] | None
    read: Callable[[Mapping[str, Any]], T]


class HttpOptions(TypedDict):
    """What httpx.Client and httpx.AsyncClient are made with."""

    base_url: str
    timeout: httpx.Timeout
    headers: dict[str, str]


class ClientBase:
    """Where the server is, and what both clients ask of it.

    ``model`` may carry a suffix (``name:refine-2``); without it the server's only model answers.
    ``api_key`` defaults to the environment variable OPENAI_API_KEY.
    """

    def __init__(
        self,
        url: str = URL,
        *,
        api_key: str | None = None,
        model: str | None = None,
        timeout_s: float = 600.0,
        retries: int = 2,
    ) -> None:
        self.url = url.rstrip("/").removesuffix("/v1")
        self.model = model
        self.retries = retries
        key = os.environ.get("OPENAI_API_KEY") if api_key is None else api_key
        self._open(
            {
                "base_url": self.url,
                "timeout": httpx.Timeout(timeout_s, connect=CONNECT_S),
                "headers": {"Authorization": f"Bearer {key}"} if key else {},
            }
        )

    def _open(self, options: HttpOptions) -> None:
        raise NotImplementedError

    def _refine_call(self, instruction: Instruction, options: RefineOptions) -> ApiCall[Refined]:
        body = request_body(instruction, model=self.model, **options)
        return ApiCall("POST", "/v1/refine", body, Refined.of)

    def _stream_body(self, instruction: Instruction, options: RefineOptions) -> dict[str, Any]:
        return request_body(instruction, model=self.model, stream=True, **options)

    def _feedback_call(
        self, instruction: Instruction, response: str, critic: str | None
    ) -> ApiCall[Feedback]:
        body = request_body(instruction, model=self.model, response=response, critic=critic)
        return ApiCall("POST", "/v1/feedback", body, Feedback.of)

    def _models_call(self) -> ApiCall[list[str]]:
        return ApiCall("GET", "/v1/models", None, lambda models: [m["id"] for m in models["data"]])

    def _unreachable(self, error: httpx.TransportError) -> RedraftError:
        return RedraftError(f"no answer from {self.url}: {error or type(error).__name__}")

    def _pause_s(self, response: httpx.Response, tries: int) -> float:
        """Seconds to wait before the next try; RedraftError when there must not be one."""
        retryable = response.status_code in (429, 503) and tries < self.retries
        if not retryable or response.headers.get("x-should-retry") == "false":
            raise error_of(response.status_code, response.content)
        try:
            wanted = float(response.headers.get("retry-after", 2**tries))
        except ValueError:  # a proxy may send a date
            wanted = 2.0**tries
        return min(LONGEST_WAIT_S, wanted)
