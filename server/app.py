"""The ASGI app: middleware, routers, error handlers. ``build_app(ApiSettings(), service)``"""

from __future__ import annotations

from fastapi import APIRouter, FastAPI
from starlette.middleware.cors import CORSMiddleware

from server import (
    __version__,
    chat,
    completions,
    docs_page,
    errors,
    feedback_api,
    models,
    playground,
    probes,
    refine_api,
)
from server.edge import Edge
from server.service import Service
from server.settings import ApiSettings

ROUTERS: tuple[APIRouter, ...] = (
    chat.router,
    completions.router,
    refine_api.router,
    feedback_api.router,
    models.router,
    probes.router,
    playground.router,
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
