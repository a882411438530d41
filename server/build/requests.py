"""The words of the prompted style, from an operator's files."""

from __future__ import annotations

from pathlib import Path

from redraft.server.config import ServerConfig
from redraft.server.options import ConfigError
from redraft.server.refine.requests import Requests


def requests_of(config: ServerConfig) -> Requests:
    """The operator's words, and the defaults where there are none."""
    files = {"feedback": config.feedback_request, "refinement": config.refinement_request}
    try:
        words = {
            name: Path(file).read_text(encoding="utf-8") for name, file in files.items() if file
        }
        return Requests(**words)
    except (OSError, ValueError) as error:
        raise ConfigError(f"--feedback-request, --refinement-request: {error}") from error
