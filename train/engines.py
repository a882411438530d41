"""Where a stage's completions come from: an OpenAI-compatible URL, or a model in this process."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Self

from redraft.server.config import ServerConfig
from redraft.server.engine.base import Engine
from redraft.server.options import ConfigError, build, option
from redraft.train.data.ledger import Ledger
from redraft.train.data.tokens import weights_fingerprint
from redraft.train.paid_engine import Budget, Limits, PaidEngine, Price


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
    def price(self) -> Price:
        return Price(self.prompt_price, self.completion_price)

    @property
    def limits(self) -> Limits:
        concurrency = self.concurrency or (16 if self.url else 2 * self.batch)
        return Limits(concurrency, self.per_minute, self.retries, self.first_wait_s, self.timeout_s)


def identity(source: EngineSpec) -> str:
    """The model in a ledger key: a folder may hold other weights after the next training."""
    return source.model if source.url else weights_fingerprint(Path(source.model))


def spec(content: Mapping[str, Any], what: str) -> EngineSpec:
    return build(EngineSpec, content, what)


@asynccontextmanager
async def opened(source: EngineSpec, retries: int = 0) -> AsyncIterator[Engine]:
    """The engine of a spec, closed at the end. ``retries`` are the HTTP engine's own; a
    ``PaidEngine`` around it retries and counts itself, and leaves them at 0."""
    if not source.url and not is_local(source):
        raise ConfigError(
            f"no model folder {source.model!r}; give the folder with the weights, or a url"
        )
    if source.url:
        engine: Engine = await _from_url(source, source.url, retries)
    else:
        engine = await _in_process(source)
    try:
        await engine.check()
        yield engine
    finally:
        await engine.close()


class PaidEngines:
    """The engines of a run by their specs: each opened once, all closed at the end."""

    def __init__(self, ledger: Ledger, budget: Budget) -> None:
        self._ledger, self._budget = ledger, budget
        self._engines: dict[EngineSpec, PaidEngine] = {}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._stack.aclose()

    async def get(self, source: EngineSpec) -> PaidEngine:
        if source not in self._engines:
            engine = await self._stack.enter_async_context(opened(source))
            self._engines[source] = PaidEngine(
                engine, self._ledger, identity(source), source.limits, self._budget, source.price
            )
        return self._engines[source]

    def __iter__(self) -> Iterator[PaidEngine]:
        return iter(self._engines.values())


def is_local(source: EngineSpec) -> bool:
    return Path(source.model).is_dir()


async def _from_url(source: EngineSpec, url: str, retries: int) -> Engine:
    from redraft.server.build import upstream_at
    from redraft.server.engine.http_engine import HttpEngine

    key = ""
    if source.key_env and not (key := os.environ.get(source.key_env, "")):
        raise ConfigError(f"the environment variable {source.key_env} with the API key is not set")
    config = ServerConfig(upstream_first_token_s=source.timeout_s, upstream_retries=retries)
    address = replace(upstream_at(config, url, source.model, key), window=source.window)
    return await HttpEngine.connect(address)


async def _in_process(source: EngineSpec) -> Engine:
    within = source.within
    if within == "auto":
        within = "vllm" if find_spec("vllm") else "transformers"
    if within == "transformers":
        from redraft.train.transformers_engine import TransformersEngine

        return TransformersEngine.load(Path(source.model), source.window, source.batch)
    from redraft.server.build import vllm_settings
    from redraft.server.engine.vllm_engine import VllmEngine

    config = ServerConfig(
        max_model_len=source.window, max_num_seqs=source.batch, tensor_parallel_size=source.gpus
    )
    return await VllmEngine.start(vllm_settings(config, Path(source.model)))
