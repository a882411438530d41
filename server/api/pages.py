"""Pages for browsers: the playground at ``/`` and the API's reference at ``/docs``.

Both work without internet access. The playground's files are kept in memory and served with
headers that forbid loading anything from elsewhere; Swagger UI comes from a Python package.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from pathlib import Path

from fastapi import APIRouter
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, Response
from starlette.exceptions import HTTPException

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_FILES = {
    path.name: (path.read_bytes(), _TYPES[path.suffix])
    for path in (Path(__file__).parent.parent / "page").iterdir()
    if path.suffix in _TYPES
}
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}

_SWAGGER_TYPES = {
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "swagger-ui.css": "text/css; charset=utf-8",
    "favicon-32x32.png": "image/png",
}

router = APIRouter(include_in_schema=False)


@router.get("/")
async def page() -> Response:
    return _file("index.html")


@router.get("/page/{name}")
async def page_file(name: str) -> Response:
    return _file(name)


@router.get("/docs")
async def docs() -> HTMLResponse:
    # Relative addresses also work behind a proxy that strips a prefix.
    return get_swagger_ui_html(
        openapi_url="openapi.json",
        title="Redraft",
        swagger_js_url="docs/swagger-ui-bundle.js",
        swagger_css_url="docs/swagger-ui.css",
        swagger_favicon_url="docs/favicon-32x32.png",
    )


@router.get("/docs/{name}")
async def docs_file(name: str) -> Response:
    if name not in _SWAGGER_TYPES:
        raise HTTPException(404)
    return Response(_swagger_file(name), media_type=_SWAGGER_TYPES[name])


def _file(name: str) -> Response:
    if name not in _FILES:
        raise HTTPException(404)
    content, media_type = _FILES[name]
    return Response(content, media_type=media_type, headers=_HEADERS)


@cache
def _swagger_file(name: str) -> bytes:
    return resources.files("fastapi_swagger.resources").joinpath(name).read_bytes()
