"""ServerConfig: every setting of the server, each default written once.

Run: redraft serve --help
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from redraft.server import options
from redraft.server.config.service import ServiceOptions
from redraft.server.engine.http_engine import CriticAddress, Upstream
from redraft.server.engine.vllm_engine import VllmSettings
from redraft.server.options import ConfigError, option, secret

EngineName = Literal["vllm", "http", "scripted"]


@dataclass(frozen=True)
class ServerConfig(ServiceOptions):
    """Serves a model that checks its own work, behind the OpenAI API."""

    engine: EngineName = option(
        "vllm in this process, http to a server elsewhere, scripted for demos", "vllm", "engine"
    )
    upstream: str = option("base URL of the OpenAI API behind --engine http", "", "engine")
    upstream_model: str = option("its model; off: the first one it lists", Upstream.model, "engine")
    upstream_key_file: str = option("file with its API key", "", "engine")
    upstream_key: str = secret("the upstream's API key itself", "engine")
    upstream_tokens: Literal["auto", "yes", "no"] = option(
        "token ids to and from the upstream, as vLLM has; auto: find out", "auto", "engine"
    )
    upstream_priority: bool = option(
        "tell it which calls go first; needs vLLM's --scheduling-policy priority",
        Upstream.priority,
        "engine",
    )
    upstream_connect_s: float = option(
        "longest wait for a connection to the upstream, or to a critic",
        Upstream.connect_s,
        "engine",
        least=0.001,
    )
    upstream_first_token_s: float = option(
        "longest wait for their first token, their queue included",
        Upstream.first_token_s,
        "engine",
        least=0.001,
    )
    upstream_between_s: float = option(
        "longest wait between two tokens after that", Upstream.between_s, "engine", least=0.001
    )
    upstream_retries: int = option(
        "tries again when they fail before the first token", Upstream.retries, "engine", least=0
    )
    upstream_errors: bool = option(
        "tell clients the upstream's or a critic's own words about an error; off: the log alone",
        Upstream.tells_errors,
        "engine",
    )
    critic: tuple[str, ...] = option(
        "NAME=URL or NAME=URL|MODEL a request may name as its critic; repeat it",
        (),
        "engine",
        repeat=True,
    )
    critic_key_file: str = option("file with the API key for critics", "", "engine")
    critic_key: str = secret("the critics' API key itself", "engine")
    reasoning_parser: str = option(
        "vLLM's parser of thoughts; none: off", VllmSettings.reasoning_parser, "engine"
    )
    tool_call_parser: str = option(
        "vLLM's parser of tool calls; none: off", VllmSettings.tool_call_parser, "engine"
    )
    tokens_per_second: float = option(
        "speed of --engine scripted; 0: as fast as it goes", 0.0, "engine", least=0
    )

    dtype: str = option("number format of the weights", VllmSettings.dtype, "vllm")
    kv_cache_memory_bytes: int | None = option(
        "memory for the KV cache; none: on CPU 1,024 tokens for each of max_num_seqs, but at least "
        "a window and at most a quarter of what is free; on GPU what is free",
        VllmSettings.kv_cache_memory_bytes,
        "vllm",
        least=1,
    )
    block_size: int | None = option(
        "tokens of a cache block; none: 32 on CPU, vLLM's own on GPU",
        VllmSettings.block_size,
        "vllm",
        least=1,
    )
    max_num_seqs: int = option(
        "completions generated at once", VllmSettings.max_num_seqs, "vllm", least=1
    )
    enforce_eager: bool | None = option(
        "no compilation: starts faster, runs slower; none: on CPU only",
        VllmSettings.enforce_eager,
        "vllm",
    )
    tensor_parallel_size: int = option(
        "GPUs each layer is split over", VllmSettings.tensor_parallel_size, "vllm", least=1
    )
    pipeline_parallel_size: int = option(
        "groups of GPUs the layers are spread over",
        VllmSettings.pipeline_parallel_size,
        "vllm",
        least=1,
    )
    data_parallel_size: int = option(
        "copies of the model", VllmSettings.data_parallel_size, "vllm", least=1
    )
    in_process: bool = option(
        "on CPU, fork the engine: starts faster than a process of its own",
        VllmSettings.in_process,
        "vllm",
    )
    speculate: Literal["none", "draft"] = option(
        "guess refinements from their drafts, and answers from what a request predicts: the same "
        "text, sooner",
        "none",
        "vllm",
    )
    warm_up: bool = option(
        "after the start, use once in the background what is compiled or loaded at its first use",
        VllmSettings.warm_up,
        "vllm",
    )
    engine_stall_s: float = option(
        "an engine that gives no output for so long, with requests running, is replaced; more than "
        "it takes to read the longest prompt; 0: never",
        VllmSettings.engine_stall_s,
        "vllm",
        least=0,
    )
    form_compile_s: float = option(
        "longest a schema, grammar or list of choices may take to compile, in a processor's time; "
        "0: no limit",
        VllmSettings.form_compile_s,
        "vllm",
        least=0,
    )
    max_restarts: int = option(
        "attempts at once to bring a dead engine back; after them /health fails, and the next wait",
        VllmSettings.max_restarts,
        "vllm",
        least=0,
    )
    exit_when_down: bool = option(
        "end the process with status 1, rather than wait, when they have failed", False, "vllm"
    )
    engine_arg: tuple[str, ...] = option(
        "NAME=VALUE, NAME VALUE or NAME, any other argument of vLLM's own server; repeat it",
        (),
        "vllm",
        repeat=True,
    )

    def __post_init__(self) -> None:
        if self.port > 65535:
            raise ConfigError(f"port is {self.port}; the highest is 65535")
        if self.good_enough is not None and self.good_enough > 10:
            raise ConfigError(f"good_enough is {self.good_enough}; scores go from 1 to 10")
        if self.max_iterations is not None and self.max_iterations > self.max_iterations_cap:
            raise ConfigError(
                f"max_iterations is {self.max_iterations}, more than the max_iterations_cap of "
                f"{self.max_iterations_cap}; raise the cap"
            )
        if self.feedback_votes > self.max_votes_cap:
            raise ConfigError(
                f"feedback_votes is {self.feedback_votes}, more than the max_votes_cap of "
                f"{self.max_votes_cap}; raise the cap"
            )
        if self.max_share > 1:
            raise ConfigError(f"max_share is {self.max_share:g}; it goes from 0 to 1")
        if self.engine == "http" and not self.upstream:
            raise ConfigError(
                "--engine http needs --upstream URL, such as http://127.0.0.1:8001/v1"
            )
        if self.engine == "http" and self.served_name:
            raise ConfigError(
                "--served-name: behind --engine http the model has the upstream's name"
            )
        if self.upstream and self.engine != "http":
            raise ConfigError(f"--upstream is for --engine http, and the engine is {self.engine}")
        if self.engine != "http" and (self.upstream_tokens != "auto" or self.upstream_priority):
            raise ConfigError(
                f"--upstream-tokens and --upstream-priority are for --engine http, and the engine "
                f"is {self.engine}"
            )
        if len({critic.name for critic in self.critics}) < len(self.critic):
            raise ConfigError("two critics have the same name")

    @property
    def max_body_bytes(self) -> int:
        return int(self.max_body_mib * 2**20)

    @property
    def max_header_bytes(self) -> int:
        return int(self.max_header_kib * 2**10)

    @property
    def critics(self) -> tuple[CriticAddress, ...]:
        return tuple(CriticAddress.parse(critic) for critic in self.critic)


def read(arguments: Sequence[str], environ: Mapping[str, str] = os.environ) -> ServerConfig:
    return options.read(ServerConfig, "redraft serve", arguments, environ)
