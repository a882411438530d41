"""Context: the dependency of every route, with the app's service and the request's client.

It is a coroutine because FastAPI runs plain functions in a thread, which is slower.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from redraft.server.config import ServerConfig
from redraft.server.service import Service

_TRACEPARENT = re.compile("[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


@dataclass(frozen=True, slots=True)
class Context:
    request: Request
    service: Service
    config: ServerConfig

    @property
    def model_name(self) -> str:
        return self.service.model.name

    @property
    def client(self) -> str:
        """The name of the request's API key, whose share of the server it takes."""
        name: str = self.request.scope.get("redraft.client", "anonymous")
        return name

    @property
    def traceparent(self) -> str | None:
        """The caller's W3C trace context, unless it is malformed."""
        header = self.request.headers.get("traceparent", "")
        return header if _TRACEPARENT.fullmatch(header) else None


async def context_of(request: Request) -> Context:
    state = request.app.state
    return Context(request, state.service, state.config)


ContextDep = Annotated[Context, Depends(context_of)]
