"""Warnings: what a client should know about a request that is answered all the same.

``warn(request, message)`` adds one; the edge sends them all in the header ``redraft-warning`` of
the response, streamed or not. A stream's headers are sent with its first chunk, so a warning that
comes later is lost.
"""

from __future__ import annotations

import re

from starlette.requests import Request
from starlette.types import Scope

HEADER = "redraft-warning"
MOST = 8  # warnings of one response
LONGEST = 300  # characters of one warning
_KEY = "redraft.warnings"
_UNPRINTABLE = re.compile(r"[^ -~]")  # a header is ASCII; a line break would begin another header


def warn(request: Request, message: str) -> None:
    """Add a warning to the response of ``request``. It may quote the request: it is cut, and
    characters that a header cannot hold become question marks."""
    warnings: list[str] = request.scope.setdefault(_KEY, [])
    cut = message if len(message) <= LONGEST else f"{message[: LONGEST - 3]}..."
    text = _UNPRINTABLE.sub("?", cut)
    if len(warnings) < MOST and text not in warnings:
        warnings.append(text)


def header_of(scope: Scope) -> str:
    """The value of the header; empty without warnings."""
    return "; ".join(scope.get(_KEY, ()))
