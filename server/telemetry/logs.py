"""Log lines, as text or as JSON. They never contain a secret, a prompt or an answer.

--log-format json writes one object a line. A logger adds fields of its own with

    log.info("GET /health 200", extra={"fields": {"message": "request", "status": 200}})

The text format shows the message alone; in JSON the fields stand beside it, or replace it.
"""

from __future__ import annotations

import json
import logging
import time
from typing import Any, Literal

TEXT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


class JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {
            "time": f"{seconds}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def configure(level: str, form: Literal["text", "json"]) -> None:
    """Our loggers at ``level``, those of libraries at warning."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if form == "json" else logging.Formatter(TEXT))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("redraft").setLevel(level.upper())
