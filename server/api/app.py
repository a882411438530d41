"""The ASGI app: middleware, routers, error handlers. ``build_app(config, service)``"""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter, FastAPI
from starlette.middleware.cors import CORSMiddleware

from redraft import __version__
from redraft.server.api import (
    chat,
    completions,
    errors,
    feedback,
    models,
    pages,
    probes,
    refine,
    warnings,
)
from redraft.server.api.edge import Edge
from redraft.server.api.keyring import Keyring
from redraft.server.api.keys import ApiKey
from redraft.server.api.openapi import App
from redraft.server.config import ServerConfig
from redraft.server.service import Service

ROUTERS: tuple[APIRouter, ...] = (
    chat.router,
    completions.router,
    refine.router,
    feedback.router,
    models.router,
    probes.router,
    pages.router,
)


def build_app(
    config: ServerConfig, service: Service, keys: Keyring | Sequence[ApiKey] = ()
) -> FastAPI:
    """The app of one service. Without ``keys`` every caller is admitted."""
    keyring = keys if isinstance(keys, Keyring) else Keyring(keys)
    app = App(
        title="Redraft",
        version=__version__,
        description="A model that checks its own work before it answers, behind OpenAI's API.",
        root_path=config.root_path,
        docs_url=None,  # pages.py has it
        redoc_url=None,
    )
    app.state.config = config
    app.state.service = service
    errors.add_handlers(app)
    for router in ROUTERS:  # as they are: to include a router is to build its routes again
        app.router.routes.extend(router.routes)
    app.add_middleware(Edge, config=config, metrics=service.metrics, keyring=keyring)
    if config.cors_origins:  # outside of Edge: a browser's preflight has no API key
        app.add_middleware(
            CORSMiddleware,
            allow_origins=config.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["*"],
            expose_headers=[
                "x-request-id",
                "refine-iterations",
                "refine-stop-reason",
                warnings.HEADER,
            ],
        )
    return app
