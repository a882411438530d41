"""Pages for browsers: the playground at ``/`` and the API's reference at ``/docs``.

Both work without internet access. The playground's files are kept in memory and served with
headers that forbid loading anything from elsewhere; Swagger UI comes from a Python package.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import Response
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
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
# Swagger UI styles its elements one by one, and has its pictures in its style sheet.
_DOCS_HEADERS = {
    **_HEADERS,
    "Content-Security-Policy": _POLICY.replace(
        "style-src 'self'; img-src 'self'", "style-src 'self' 'unsafe-inline'; img-src 'self' data:"
    ),
}

_SWAGGER_TYPES = {
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "swagger-ui.css": "text/css; charset=utf-8",
    "favicon-32x32.png": "image/png",
}

# Relative addresses also work behind a proxy that strips a prefix.
_DOCS = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Redraft</title>
<link rel="icon" href="docs/favicon-32x32.png">
<link rel="stylesheet" href="docs/swagger-ui.css">
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</html>
"""
_DOCS_START = """\
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  layout: "BaseLayout",
  presets: [SwaggerUIBundle.presets.apis, SwaggerUIBundle.SwaggerUIStandalonePreset],
});
"""

router = APIRouter(include_in_schema=False)


@router.get("/")
async def page() -> Response:
    return _file("index.html")


@router.get("/page/{name}")
async def page_file(name: str) -> Response:
    return _file(name)


@router.get("/docs")
async def docs() -> Response:
    return Response(_DOCS, media_type=_TYPES[".html"], headers=_DOCS_HEADERS)


@router.get("/docs/{name}")
async def docs_file(name: str) -> Response:
    if name == "start.js":
        return Response(_DOCS_START, media_type=_TYPES[".js"], headers=_DOCS_HEADERS)
    if name not in _SWAGGER_TYPES:
        raise HTTPException(404)
    content = _swagger_file(name)
    return Response(content, media_type=_SWAGGER_TYPES[name], headers=_DOCS_HEADERS)


def _file(name: str) -> Response:
    if name not in _FILES:
        raise HTTPException(404)
    content, media_type = _FILES[name]
    return Response(content, media_type=media_type, headers=_HEADERS)


@cache
def _swagger_file(name: str) -> bytes:
    return resources.files("fastapi_swagger.resources").joinpath(name).read_bytes()
