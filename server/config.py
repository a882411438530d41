"""ServerConfig: every setting of the server, each default written once.

Run: redraft serve --help
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from redraft.server import options
from redraft.server.engine.http_engine import Upstream
from redraft.server.engine.vllm_engine import VllmSettings
from redraft.server.options import ConfigError, option, secret

EngineName = Literal["vllm", "http", "scripted"]
ReasoningField = Literal["both", "reasoning", "reasoning_content", "none", "inline_think"]


@dataclass(frozen=True)
class ServerConfig:
    """Serves a model that checks its own work, behind the OpenAI API."""

    host: str = option("address to listen on; 0.0.0.0 for all", "127.0.0.1", "address")
    port: int = option("port to listen on; 0 takes a free one", 8000, "address", least=0)
    root_path: str = option("path prefix a proxy in front of the server strips", "", "address")
    cors_origins: tuple[str, ...] = option(
        "origin whose pages may call the server; repeat it, or * for all",
        (),
        "address",
        repeat=True,
    )

    model: str = option(
        "directory of the model's files; off: the shipped models/redraft-workbench",
        "",
        "model",
        positional="DIRECTORY",
    )
    served_name: str = option(
        "what clients call the model; off: the directory's name",
        VllmSettings.served_name,
        "model",
    )
    style: Literal["auto", "srt", "prompted"] = option(
        "how phases are asked for; auto: as the model's redraft.json says", "auto", "model"
    )
    max_model_len: int | None = option(
        "most tokens of prompt and completion; none: the model's own",
        VllmSettings.max_model_len,
        "model",
        least=1,
    )

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
    critic: tuple[str, ...] = option(
        "NAME=URL or NAME=URL|MODEL a request may name as its critic; repeat it",
        (),
        "engine",
        repeat=True,
    )
    critic_key_file: str = option("file with the API key for critics", "", "engine")
    critic_key: str = secret("the critics' API key itself", "engine")
    tokens_per_second: float = option(
        "speed of --engine scripted; 0: as fast as it goes", 0.0, "engine", least=0
    )

    max_iterations: int | None = option(
        "iterations when a request does not say; none: what the model's redraft.json says, else 1",
        None,
        "refinement",
        least=0,
    )
    good_enough: int | None = option(
        "score that ends refining when a request does not say", None, "refinement", least=1
    )
    keep: Literal["best", "last"] | None = option(
        "which response answers when a request does not say", None, "refinement"
    )
    default_max_tokens: int | None = option(
        "tokens of each response when a request does not say; none: what the window has room for",
        None,
        "refinement",
        least=1,
    )
    max_iterations_cap: int = option("most iterations a request may ask", 8, "refinement", least=0)
    max_drafts_cap: int = option("most drafts a request may ask for", 8, "refinement", least=1)
    checks: tuple[str, ...] = option(
        "module:function that returns further kinds of checks; repeat it",
        (),
        "refinement",
        repeat=True,
    )
    reasoning_field: ReasoningField = option(
        "where chat messages carry draft and feedback", "both", "refinement"
    )

    max_loops: int = option("requests worked on at once", 64, "limits", least=1)
    max_queue: int = option("requests that may wait; more get a 429", 256, "limits", least=0)
    max_share: float = option(
        "part of loops and queue one client may take, 0 to 1", 1.0, "limits", least=0
    )
    requests_per_minute: int | None = option(
        "of one API key, or of all without keys; more get a 429", None, "limits", least=1
    )
    tokens_per_minute: int | None = option(
        "read and written, of one API key likewise", None, "limits", least=1
    )
    queue_timeout_s: float = option("longest wait for a place", 30.0, "limits", least=0)
    max_body_mib: float = option("largest request body", 4.0, "limits", least=0)
    max_messages: int = option("most messages of one chat", 1000, "limits", least=1)
    max_deadline_s: float = option("longest a loop may take; 0: no limit", 600.0, "limits", least=0)
    body_timeout_s: float = option("for a request body to arrive", 60.0, "limits", least=0)
    stall_s: float = option(
        "a reader that takes nothing for so long is gone; 0: never", 120.0, "limits", least=0
    )
    grace_s: float = option(
        "on SIGTERM, seconds until running loops answer with their best", 20.0, "limits", least=0
    )
    keep_alive_s: float = option(
        "seconds of silence in a stream before a comment is sent; 0: never", 10.0, "limits", least=0
    )

    api_keys_file: str = option(
        "file of API keys, one NAME:KEY a line; off: no key asked for", "", "access"
    )
    api_keys: str = secret("the API keys themselves, NAME:KEY,NAME:KEY", "access")
    open_access: bool = option(
        "serve without API keys on an address others can reach", False, "access"
    )

    log_level: Literal["debug", "info", "warning", "error"] = option("log level", "info", "records")
    log_format: Literal["text", "json"] = option("log lines for people or tools", "text", "records")
    traces: str = option("directory to append every trace to, as JSON lines", "", "records")

    dtype: str = option("number format of the weights", VllmSettings.dtype, "vllm")
    kv_cache_memory_bytes: int | None = option(
        "memory for the KV cache; none: 256 MiB on CPU, what is free on GPU",
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
        "guess refinements from the drafts they refine: the same text, sooner", "none", "vllm"
    )
    max_restarts: int = option(
        "attempts to bring a dead engine back", VllmSettings.max_restarts, "vllm", least=0
    )
    engine_arg: tuple[str, ...] = option(
        "NAME=VALUE or NAME, any other argument of vLLM's own server; repeat it",
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
    def critics(self) -> tuple[CriticAddress, ...]:
        return tuple(CriticAddress.parse(critic) for critic in self.critic)


@dataclass(frozen=True)
class CriticAddress:
    """An engine elsewhere, which writes the feedback of requests that name it."""

    name: str
    url: str
    model: str = ""

    @classmethod
    def parse(cls, text: str) -> CriticAddress:
        name, _, rest = text.partition("=")
        url, _, model = rest.partition("|")
        if not name or not url.startswith(("http://", "https://")):
            raise ConfigError(
                f"--critic is {text!r}, expected NAME=URL or NAME=URL|MODEL, such as "
                f"strong=http://127.0.0.1:8001/v1"
            )
        return cls(name, url, model)


def read(arguments: Sequence[str], environ: Mapping[str, str] = os.environ) -> ServerConfig:
    return options.read(ServerConfig, "redraft serve", arguments, environ)


def read_key(key: str, file: str) -> str:
    """``key``, else the content of ``file``, else an empty string."""
    return key or (read_secret(file).strip() if file else "")


def read_secret(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the key file {file}: {error}") from error
