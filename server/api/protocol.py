"""HttpProtocol: uvicorn's HTTP/1.1, with its own errors in OpenAI's shape.

What is no HTTP is answered before any route, and before the edge, sees it. An upgrade to another
protocol is not taken: such a request is answered as what it is without it.
"""

from __future__ import annotations

import json
import logging
from uuid import uuid4

from uvicorn.protocols.http.auto import AutoHTTPProtocol

from redraft.server.api.errors import ApiError

access = logging.getLogger("redraft.access")

MESSAGE = "this is no HTTP/1.1 request; send one, such as GET /health HTTP/1.1"


class HttpProtocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
    def send_400_response(self, msg: str) -> None:
        request_id = f"req-{uuid4().hex}"
        access.info("- - 400 id=%s: %s", request_id, msg)
        self.transport.write(answer_of(ApiError(400, MESSAGE, code="invalid_http"), request_id))
        self.transport.close()

    def _unsupported_upgrade_warning(self) -> None:
        """Any client can ask for one: it is not worth a line of the log."""


def answer_of(error: ApiError, request_id: str) -> bytes:
    """A whole answer, after which the connection ends."""
    body = json.dumps(error.body()).encode()
    head = (
        f"HTTP/1.1 {error.status} Bad Request\r\n"
        f"content-type: application/json\r\n"
        f"content-length: {len(body)}\r\n"
        f"x-request-id: {request_id}\r\n"
        f"connection: close\r\n\r\n"
    )
    return head.encode() + body
