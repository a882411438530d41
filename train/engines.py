"""Where a stage's completions come from: an OpenAI-compatible URL, or a model in this process."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from redraft.server.engine.base import Engine
from redraft.server.options import ConfigError, build, option
from redraft.train.checkpoints import adapter_base
from redraft.train.data.tokens import weights_fingerprint
from redraft.train.writers import Writers


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """One source of completions, as an option or a recipe names it."""

    model: str = option("a folder with weights, or the name the URL knows the model by", "")
    url: str | None = option("base URL of an OpenAI-compatible API; none: in this process", None)
    key_env: str | None = option("the environment variable that holds the API key", None)
    within: Literal["auto", "vllm", "transformers"] = option(
        "what runs a model in this process; auto: vllm where it is installed", "auto"
    )
    window: int | None = option("most tokens of prompt and completion; none: the model's", None)
    batch: int = option("most completions generated at once in this process", 64)
    gpus: int = option("over which vLLM splits a model in this process", 1)
    prompt_price: float = option("money per million prompt tokens", 0.0)
    completion_price: float = option("money per million completion tokens", 0.0)
    concurrency: int | None = option(
        "most calls under way at once; none: 16 for a URL, twice the batch in this process", None
    )
    per_minute: float | None = option("most calls a minute", None)
    retries: int = option("tries again after a failure that may pass", 6)
    first_wait_s: float = option("wait before the first retry; doubles each time", 1.0)
    timeout_s: float = option("longest one call may take", 600.0)

    @property
    def max_concurrency(self) -> int:
        return self.concurrency or (16 if self.url else 2 * self.batch)

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Of one call, or of many."""
        price = prompt_tokens * self.prompt_price + completion_tokens * self.completion_price
        return price / 1_000_000


def identity(source: EngineSpec) -> str:
    """The model in a ledger key: a folder may hold other weights after the next training."""
    return source.model if source.url else weights_fingerprint(Path(source.model))


def spec(content: Mapping[str, Any], what: str) -> EngineSpec:
    return build(EngineSpec, content, what)


@asynccontextmanager
async def opened(source: EngineSpec, retries: int = 0) -> AsyncIterator[Engine]:
    """The engine of a spec, closed at the end. ``retries`` are the HTTP engine's own; a
    ``PaidEngine`` around it retries and counts itself, and leaves them at 0."""
    if source.url:
        engine: Engine = await _from_url(source, source.url, retries)
    elif is_local(source):
        engine = await _in_process(source)
    else:
        raise ConfigError(
            f"no model folder {source.model!r}; give the folder with the weights, or a url"
        )
    try:
        await engine.check()
        yield engine
    finally:
        await engine.close()


def is_local(source: EngineSpec) -> bool:
    return Path(source.model).is_dir()


async def _from_url(source: EngineSpec, url: str, retries: int) -> Engine:
    from redraft.server.engine.http_engine import HttpEngine, Upstream

    key = ""
    if source.key_env and not (key := os.environ.get(source.key_env, "")):
        raise ConfigError(f"the environment variable {source.key_env} with the API key is not set")
    return await HttpEngine.connect(
        Upstream(
            url,
            source.model,
            key or None,
            window=source.window,
            first_token_s=source.timeout_s,
            retries=retries,
        )
    )


async def _in_process(source: EngineSpec) -> Engine:
    within = source.within
    if within == "auto":
        within = "vllm" if find_spec("vllm") else "transformers"
    if within == "transformers":
        from redraft.train.transformers_engine import TransformersEngine

        return TransformersEngine.load(Path(source.model), source.window, source.batch)
    from redraft.server.engine.vllm_engine import VllmEngine, VllmSettings
    from redraft.server.engine.vllm_engine.adapters import Adapter

    folder = Path(source.model)
    base = adapter_base(folder)
    settings = VllmSettings(
        Path(base or folder),
        max_model_len=source.window,
        max_num_seqs=source.batch,
        tensor_parallel_size=source.gpus,
    )
    if base is None:
        return await VllmEngine.start(settings)
    tuned = Adapter("tuned", folder)
    engine = await VllmEngine.start(replace(settings, adapters=(tuned,)))
    return Writers(engine, engine, tuned.name)
