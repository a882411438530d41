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

from redraft.server.build import adapters, names, own_checks
from redraft.server.build.adapters import Lineup, Variant
from redraft.server.build.fetching import Fetching, in_thread
from redraft.server.build.names import ModelFiles
from redraft.server.build.requests import requests_of
from redraft.server.config import ServerConfig
from redraft.server.engine.base import Engine, EngineError
from redraft.server.engine.http_engine import HttpEngine, Upstream
from redraft.server.engine.http_engine.critic_address import CriticAddress
from redraft.server.engine.vllm_engine import VllmEngine, VllmSettings, start
from redraft.server.engine.vllm_engine.arguments import words_of
from redraft.server.model import ServedModel
from redraft.server.options import ConfigError, read_key
from redraft.server.refine import manifest
from redraft.server.refine.manifest import Manifest
from redraft.server.refine.requests import Requests

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Engines:
    """The engine that answers, and those a request may name as its critic."""

    model: ServedModel
    critics: dict[str, ServedModel] = field(default_factory=dict)
    others: tuple[ServedModel, ...] = ()  # adapters on the engine that answers

    async def close(self) -> None:
        for served in (self.model, *self.critics.values()):
            await served.engine.close()


async def build(config: ServerConfig, progress: Progress) -> Engines:
    """The engines of a configuration. Raises ConfigError, ManifestError or EngineError, each in
    one line, and leaves no engine running then."""

    async def find(name: str) -> ModelFiles:
        return await files_of(name, config, progress)

    own_checks.load(config, progress)
    files = await model_files(config, progress)
    lineup = _styled_all(config, await adapters.read(config, files, find))
    if files and not lineup.main.manifest:
        progress(f"{files.name} has no text format in a {manifest.NAME}: asked in chat messages")
    requests = requests_of(config)
    async with AsyncExitStack() as started:
        critics = {}
        for critic in config.critics:
            engine = await connect_critic(config, critic)
            started.push_async_callback(engine.close)
            critics[critic.name] = ServedModel(engine, requests=requests)
            progress(f"critic {critic.name!r} is {engine.model}")
        engine = await _engine(config, lineup, progress)
        started.push_async_callback(engine.close)
        adapters.check_names(lineup, engine.model)
        _check_listed(engine, lineup)
        started.pop_all()
    main, *others = (
        _served(engine, variant, requests) for variant in (lineup.main, *lineup.others)
    )
    return Engines(main, critics, tuple(others))


def _served(engine: Engine, variant: Variant, requests: Requests) -> ServedModel:
    return ServedModel(
        engine,
        variant.manifest,
        getattr(engine, "direct", None),
        requests,
        served_name=variant.name,
        adapters=variant.adapters,
    )


def _check_listed(engine: Engine, lineup: Lineup) -> None:
    """An upstream that lists its models must list the adapters."""
    if not isinstance(engine, HttpEngine) or not engine.listed:
        return
    if missing := sorted(lineup.names - set(engine.listed)):
        raise EngineError(
            f"the upstream has no adapter {missing[0]!r}; it lists {', '.join(engine.listed)}"
        )


async def model_files(config: ServerConfig, progress: Progress) -> ModelFiles | None:
    """The files of the model, fetched if need be; None when the engine needs none."""
    if config.engine != "vllm":
        directory = Path(config.model)
        return ModelFiles(directory, directory.name) if config.model else None
    return await files_of(config.model, config, progress)


async def files_of(name: str, config: ServerConfig, progress: Progress) -> ModelFiles:
    """The files of a model or an adapter for vLLM, fetched if need be."""
    _check_vllm()
    on_cpu = start.on_cpu()

    def find(fetching: Fetching) -> ModelFiles:
        return names.find(name, config.cache_dir, fetching, on_cpu=on_cpu)

    return await in_thread(find, progress)


def _check_vllm() -> None:
    if not importlib.util.find_spec("vllm"):
        raise ConfigError(
            "vLLM is not installed; run: redraft install cpu (with an NVIDIA GPU: redraft install "
            "cuda), or serve an engine that runs elsewhere: --engine http --upstream URL"
        )


def _styled_all(config: ServerConfig, lineup: Lineup) -> Lineup:
    directory = lineup.base.directory if lineup.base else None

    def styled(variant: Variant) -> Variant:
        chosen = _styled(config, directory, variant.manifest)
        return dataclasses.replace(variant, manifest=chosen)

    others = tuple(styled(variant) for variant in lineup.others)
    return dataclasses.replace(lineup, main=styled(lineup.main), others=others)


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


async def _engine(config: ServerConfig, lineup: Lineup, progress: Progress) -> Engine:
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
            thinks=config.reasoning_parser not in ("auto", "none"),
            calls_tools=config.tool_call_parser != "none",
        )
        return await _connect(upstream)
    assert lineup.base is not None
    return await _vllm(config, lineup.base, lineup, progress)


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
        tells_errors=config.upstream_errors,
    )


async def connect_critic(config: ServerConfig, critic: CriticAddress) -> Engine:
    key = read_key(config.critic_key, config.critic_key_file)
    address = upstream_at(config, critic.url, critic.model, key)
    return await _connect(dataclasses.replace(address, name=critic.name))


async def _connect(address: Upstream) -> Engine:
    try:
        return await HttpEngine.connect(address)
    except EngineError as error:
        raise EngineError(f"engine {address.name!r} at {address.url}: {error}") from error


async def _vllm(
    config: ServerConfig, files: ModelFiles, lineup: Lineup, progress: Progress
) -> Engine:
    settings = dataclasses.replace(vllm_settings(config, files), adapters=lineup.adapters)
    if lineup.main.name:  # the adapter has the name that clients ask for; the base keeps its own
        settings = dataclasses.replace(settings, served_name=files.name)
    return await VllmEngine.start(settings, progress)


def vllm_settings(config: ServerConfig, files: ModelFiles) -> VllmSettings:
    """The settings of an engine for this model."""
    return VllmSettings(
        model=files.directory,
        served_name=config.served_name or files.name,
        from_hub=files.from_hub,
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
        speculates=config.speculate == "draft",
        warm_up=config.warm_up,
        engine_stall_s=config.engine_stall_s,
        form_compile_s=config.form_compile_s,
        max_restarts=config.max_restarts,
        reasoning_parser=config.reasoning_parser,
        tool_call_parser=config.tool_call_parser,
        extra_args=tuple(word for arg in config.engine_arg for word in words_of(arg)),
    )


def _scripted(config: ServerConfig) -> Engine:
    from redraft.server.engine.scripted_engine import ScriptedEngine, demo_reply

    return ScriptedEngine(
        reply=demo_reply,
        model=config.served_name or "scripted",
        delay=1 / config.tokens_per_second if config.tokens_per_second else 0.0,
        keep_history=False,
    )
