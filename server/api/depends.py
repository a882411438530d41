"""What a route needs from the app it belongs to: the service, the config, who is asking.

What FastAPI calls is a coroutine: it sends plain functions to a thread, at a cost each time.
"""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from redraft.server.config import ServerConfig
from redraft.server.service import Service

_TRACEPARENT = re.compile("[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


async def service_of(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


async def config_of(request: Request) -> ServerConfig:
    config: ServerConfig = request.app.state.config
    return config


async def client_of(request: Request) -> str:
    """Whose share of the server a request takes: the name of its API key."""
    client: str = request.scope.get("redraft.client", "anonymous")
    return client


def traceparent_of(request: Request) -> str | None:
    """The caller's W3C trace context; one that is malformed is as good as none."""
    given = request.headers.get("traceparent", "")
    return given if _TRACEPARENT.fullmatch(given) else None


ServiceDep = Annotated[Service, Depends(service_of)]
ConfigDep = Annotated[ServerConfig, Depends(config_of)]
ClientDep = Annotated[str, Depends(client_of)]
