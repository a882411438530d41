"""What the server builds from its configuration, with the configuration's own defaults.

upstream_at("http://127.0.0.1:8001/v1", retries=0)
vllm_settings(directory, served_name="tiny")
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from redraft.server import build
from redraft.server.config import ServerConfig
from redraft.server.engine.http_engine import Upstream
from redraft.server.engine.vllm_engine import VllmSettings


def upstream_at(url: str, **changes: Any) -> Upstream:
    return replace(build.upstream_at(ServerConfig(), url, "", ""), **changes)


def vllm_settings(model: Path, **changes: Any) -> VllmSettings:
    return replace(build.vllm_settings(ServerConfig(), model), **changes)
