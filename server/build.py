"""Builds the engines of a configuration, and the style in which each model is asked.

A new engine gets its name here, in ``_engine``.
"""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

from redraft.server.config import ServerConfig, read_key
from redraft.server.engine.base import Engine, EngineError
from redraft.server.engine.http_engine import HttpEngine, Upstream
from redraft.server.engine.vllm_engine import DraftMarkers, VllmEngine, VllmSettings
from redraft.server.model import ServedModel
from redraft.server.options import ConfigError
from redraft.server.refine import manifest
from redraft.server.refine.checks import operators
from redraft.server.refine.manifest import Manifest
from redraft.server.refine.policy import FeedbackBy

# redraft/models: a link to models/ in a checkout, part of the package where it is installed.
SHIPPED = Path(__file__).parents[1] / "models" / "redraft-workbench"
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Engines:
    """The engine that answers, and those a request may name as its critic."""

    model: ServedModel
    critics: dict[str, ServedModel] = field(default_factory=dict)

    async def close(self) -> None:
        for served in (self.model, *self.critics.values()):
            await served.engine.close()


async def build(config: ServerConfig, progress: Progress) -> Engines:
    """The engines of a configuration. Raises ConfigError, ManifestError or EngineError, each in
    one line, and leaves no engine running then."""
    _load_checks(config, progress)
    directory = model_directory(config)
    recorded = manifest.read(directory) if directory else None
    styled = _styled(config, directory, recorded)
    if directory and not recorded:
        progress(f"{directory} has no {manifest.NAME}; its model is asked in chat messages")
    async with AsyncExitStack() as started:
        critics = {}
        key = read_key(config.critic_key, config.critic_key_file)
        for critic in config.critics:
            address = upstream_at(config, critic.url, critic.model, key)
            engine: Engine = await _connect(dataclasses.replace(address, name=critic.name))
            started.push_async_callback(engine.close)
            critics[critic.name] = ServedModel(engine)
            progress(f"critic {critic.name!r} is {engine.model}")
        engine = await _engine(config, directory, styled, progress)
        started.pop_all()
    return Engines(ServedModel(engine, styled, getattr(engine, "direct", None)), critics)


def _load_checks(config: ServerConfig, progress: Progress) -> None:
    """The operator's own kinds of checks; and no critic has a name that stands for no critic."""
    if taken := {critic.name for critic in config.critics} & set(get_args(FeedbackBy)):
        raise ConfigError(
            f"a critic has the name {min(taken)!r}, which means something else in feedback_by; "
            f"give it another"
        )
    for name in config.checks:
        try:
            progress(f"checks of {name}: {', '.join(operators.load(name))}")
        except ValueError as error:
            raise ConfigError(f"--checks: {error}") from error


def model_directory(config: ServerConfig) -> Path | None:
    """The directory of the model's files; None when the engine needs none."""
    if config.model:
        return Path(config.model)
    if config.engine != "vllm":
        return None
    if not SHIPPED.is_dir():
        raise ConfigError(
            f"there is no model at {SHIPPED}; name one with --model DIRECTORY, or try the server "
            f"without a model: --engine scripted"
        )
    return SHIPPED


def _styled(
    config: ServerConfig, directory: Path | None, recorded: Manifest | None
) -> Manifest | None:
    """The manifest beside the weights, with the style of the configuration."""
    if config.style == "auto":
        return recorded
    if config.style == "srt" and not recorded:
        raise ConfigError(
            f"--style srt needs the {manifest.NAME} that training writes beside the weights, and "
            f"{directory or '--model'} has none; leave --style out to ask in chat messages"
        )
    return dataclasses.replace(recorded, style=config.style) if recorded else None


async def _engine(
    config: ServerConfig, directory: Path | None, styled: Manifest | None, progress: Progress
) -> Engine:
    if config.engine == "scripted":
        return _scripted(config)
    if config.engine == "http":
        key = read_key(config.upstream_key, config.upstream_key_file)
        address = upstream_at(config, config.upstream, config.upstream_model, key)
        upstream = dataclasses.replace(
            address,
            window=config.max_model_len,
            tokens={"auto": None, "yes": True, "no": False}[config.upstream_tokens],
            priority=config.upstream_priority,
        )
        return await _connect(upstream)
    assert directory is not None
    return await _vllm(config, directory, styled, progress)


def upstream_at(config: ServerConfig, url: str, model: str, key: str) -> Upstream:
    """The upstream or a critic at ``url``, with the configuration's timeouts."""
    return Upstream(
        url,
        model,
        key or None,
        connect_s=config.upstream_connect_s,
        first_token_s=config.upstream_first_token_s,
        between_s=config.upstream_between_s,
        retries=config.upstream_retries,
    )


async def _connect(address: Upstream) -> Engine:
    try:
        return await HttpEngine.connect(address)
    except EngineError as error:
        raise EngineError(f"engine {address.name!r} at {address.url}: {error}") from error


async def _vllm(
    config: ServerConfig, directory: Path, styled: Manifest | None, progress: Progress
) -> Engine:
    if not importlib.util.find_spec("vllm"):
        raise ConfigError(
            "vLLM is not installed; run: redraft install cpu (with an NVIDIA GPU: redraft install "
            "cuda), or serve an engine that runs elsewhere: --engine http --upstream URL"
        )
    if config.speculate == "draft" and not (styled and styled.style == "srt"):
        raise ConfigError(
            f"--speculate draft finds drafts by the markers in {manifest.NAME}, and {directory} is "
            f"asked in chat messages; leave --speculate out"
        )
    settings = vllm_settings(config, directory)
    if styled and config.speculate == "draft":
        form = styled.srt_format
        markers = DraftMarkers(form.feedback.ids, form.refinement.ids, form.eos_ids[0])
        settings = dataclasses.replace(settings, draft_markers=markers)
    return await VllmEngine.start(settings, progress)


def vllm_settings(config: ServerConfig, directory: Path) -> VllmSettings:
    """The settings of an engine for the model in ``directory``, without speculation."""
    return VllmSettings(
        model=directory,
        served_name=config.served_name,
        dtype=config.dtype,
        max_model_len=config.max_model_len,
        kv_cache_memory_bytes=config.kv_cache_memory_bytes,
        block_size=config.block_size,
        max_num_seqs=config.max_num_seqs,
        enforce_eager=config.enforce_eager,
        tensor_parallel_size=config.tensor_parallel_size,
        pipeline_parallel_size=config.pipeline_parallel_size,
        data_parallel_size=config.data_parallel_size,
        in_process=config.in_process,
        max_restarts=config.max_restarts,
        extra_args=tuple(f"--{argument.lstrip('-')}" for argument in config.engine_arg),
    )


def _scripted(config: ServerConfig) -> Engine:
    from redraft.server.engine.scripted_engine import ScriptedEngine, demo_reply

    return ScriptedEngine(
        reply=demo_reply,
        model=config.served_name or "scripted",
        delay=1 / config.tokens_per_second if config.tokens_per_second else 0.0,
        keep_history=False,
    )
