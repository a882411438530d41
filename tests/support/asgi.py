"""Requests to an app without a socket: one service, one event loop, one answer.

post("/v1/refine", {"prompt": "Capital of France?"}, "Paris", feedback(9))
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import cache
from typing import Any

import httpx
from fastapi import FastAPI
from pydantic import TypeAdapter

from redraft.server.api.app import build_app
from redraft.server.api.keys import ApiKey
from redraft.server.config import ServerConfig
from redraft.server.engine.scripted_engine import ScriptedEngine
from redraft.server.model import ServedModel
from redraft.server.refine.manifest import DefaultPolicy, Manifest
from redraft.server.refine.srt_format import SrtFormat
from redraft.server.service import Service
from tests.support.loops import FORMAT

LIMIT_S = 180  # a request that hangs fails its test rather than the whole run


def srt_model(
    engine: ScriptedEngine, policy: DefaultPolicy | None = None, srt_format: SrtFormat = FORMAT
) -> ServedModel:
    """The engine, served as a tuned model is."""
    return ServedModel(engine, Manifest(srt_format, "", "", policy=policy or DefaultPolicy()))


async def send(
    service: Service,
    method: str,
    path: str,
    config: ServerConfig | None = None,
    *,
    keys: Sequence[ApiKey] = (),
    **more: Any,
) -> httpx.Response:
    return await send_to(build_app(config or ServerConfig(), service, keys), method, path, **more)


async def send_to(app: FastAPI, method: str, path: str, **more: Any) -> httpx.Response:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await asyncio.wait_for(client.request(method, path, **more), LIMIT_S)


def check_shape(answer: Any, shape: Any) -> None:
    """Fails unless the answer has every field its declaration requires, and none it lacks."""
    _reader(shape).validate_python(answer, strict=True, extra="forbid")


@cache
def _reader(shape: Any) -> TypeAdapter[Any]:
    return TypeAdapter(shape)


def post(
    path: str,
    body: Any,
    *script: Any,
    config: ServerConfig | None = None,
    policy: DefaultPolicy | None = None,
    srt_format: SrtFormat = FORMAT,
    **parts: Any,  # of the service
) -> httpx.Response:
    """The answer of a model that replies as the script says."""
    model = srt_model(ScriptedEngine(*script), policy, srt_format)
    return asyncio.run(send(Service(model, **parts), "POST", path, config, json=body))
