"""The ASGI app: middleware, routers, error handlers. ``build_app(ApiSettings(), service)``"""

from __future__ import annotations

from fastapi import APIRouter, FastAPI
from starlette.middleware.cors import CORSMiddleware

from redraft import __version__
from redraft.server.api import (
    chat,
    completions,
    docs_page,
    errors,
    feedback,
    models,
    pages,
    probes,
    refine,
)
from redraft.server.api.edge import Edge
from redraft.server.api.settings import ApiSettings
from redraft.server.service import Service

ROUTERS: tuple[APIRouter, ...] = (
    chat.router,
    completions.router,
    refine.router,
    feedback.router,
    models.router,
    probes.router,
    pages.router,
    docs_page.router,
)


def build_app(settings: ApiSettings, service: Service) -> FastAPI:
    app = FastAPI(
        title="Redraft",
        version=__version__,
        description="A model that checks its own work before it answers, behind OpenAI's API.",
        root_path=settings.root_path,
        docs_url=None,  # docs_page has it
        redoc_url=None,
    )
    app.state.settings = settings
    app.state.service = service
    errors.add_handlers(app)
    for router in ROUTERS:
        app.include_router(router)
    app.add_middleware(Edge, settings=settings, metrics=service.metrics)
    if settings.cors_origins:  # outside of the edge: a browser's preflight has no API key
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["*"],
            expose_headers=["x-request-id", "refine-iterations", "refine-stop-reason"],
        )
    return app
