"""What the doctor finds in what is served beside the model: checks, words of requests, critics."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from redraft.server.build import own_checks
from redraft.server.build.engines import connect_critic
from redraft.server.build.requests import requests_of
from redraft.server.cli.diagnosis import Diagnosis
from redraft.server.config import ServerConfig
from redraft.server.engine.base import EngineError
from redraft.server.engine.http_engine.critic_address import CriticAddress
from redraft.server.options import ConfigError


def beside_findings(config: ServerConfig) -> Iterator[Diagnosis]:
    """As serve takes or refuses each of them."""
    yield from _checks(config)
    yield from _requests(config)
    for critic in config.critics:
        yield asyncio.run(_critic(config, critic))


def _checks(config: ServerConfig) -> Iterator[Diagnosis]:
    loaded: list[str] = []
    try:
        own_checks.load(config, loaded.append)
    except ConfigError as error:
        yield Diagnosis.of_error("checks" if config.checks else "critics", error)
    yield from (Diagnosis("checks", line.removeprefix("checks of ")) for line in loaded)


def _requests(config: ServerConfig) -> Iterator[Diagnosis]:
    files = {"feedback": config.feedback_request, "refinement": config.refinement_request}
    if not any(files.values()):
        return
    try:
        requests_of(config)
    except ConfigError as error:
        yield Diagnosis.of_error("requests", error)
    else:
        told = (f"{name} in the words of {file}" for name, file in files.items() if file)
        yield Diagnosis("requests", ", ".join(told))


async def _critic(config: ServerConfig, critic: CriticAddress) -> Diagnosis:
    try:
        engine = await connect_critic(config, critic)
    except (ConfigError, EngineError) as error:
        return Diagnosis.of_error("critic", error)
    await engine.close()
    return Diagnosis("critic", f"{critic.name} is {engine.model} at {critic.url}")
