"""ServerConfig: every setting of the server, each default written once.

Run: redraft serve --help
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from redraft.server import options
from redraft.server.options import ConfigError, option, secret
from redraft.server.refine.manifest import DefaultPolicy

EngineName = Literal["vllm", "http", "scripted"]
T = TypeVar("T")
ReasoningField = Literal["both", "reasoning", "reasoning_content", "none", "inline_think"]


@dataclass(frozen=True)
class ServerConfig:
    """Serves a model that checks its own work, behind the OpenAI API."""

    host: str = option("127.0.0.1", "address", "address to listen on; 0.0.0.0 for all")
    port: int = option(8000, "address", "port to listen on; 0 takes a free one", least=0)
    root_path: str = option("", "address", "path prefix a proxy in front of the server strips")
    cors_origins: tuple[str, ...] = option(
        (), "address", "origin whose pages may call the server; repeat it, or * for all"
    )

    model: str = option(
        "",
        "model",
        "directory of the model's files; off: the shipped models/redraft-workbench",
        positional="DIRECTORY",
    )
    served_name: str = option("", "model", "what clients call the model; off: the directory's name")
    style: Literal["auto", "srt", "prompted"] = option(
        "auto", "model", "how phases are asked for; auto: as the model's redraft.json says"
    )
    max_model_len: int | None = option(
        None, "model", "most tokens of prompt and completion; off: the model's own", least=1
    )

    engine: EngineName = option(
        "vllm", "engine", "vllm in this process, http to a server elsewhere, scripted for demos"
    )
    upstream: str = option("", "engine", "base URL of the OpenAI API behind --engine http")
    upstream_model: str = option("", "engine", "its model; off: the first one it lists")
    upstream_key_file: str = option("", "engine", "file with its API key")
    upstream_key: str = secret("engine", "the upstream's API key itself")
    upstream_tokens: Literal["auto", "yes", "no"] = option(
        "auto", "engine", "token ids to and from the upstream, as vLLM has; auto: find out"
    )
    upstream_priority: bool = option(
        False, "engine", "tell it which calls go first; needs vLLM's --scheduling-policy priority"
    )
    upstream_connect_s: float = option(
        5.0, "engine", "longest wait for a connection to the upstream, or to a critic", least=0.001
    )
    upstream_first_token_s: float = option(
        120.0, "engine", "longest wait for their first token, their queue included", least=0.001
    )
    upstream_between_s: float = option(
        30.0, "engine", "longest wait between two tokens after that", least=0.001
    )
    upstream_retries: int = option(
        3, "engine", "tries again when they fail before the first token", least=0
    )
    critic: tuple[str, ...] = option(
        (), "engine", "NAME=URL or NAME=URL|MODEL a request may name as its critic; repeat it"
    )
    critic_key_file: str = option("", "engine", "file with the API key for critics")
    critic_key: str = secret("engine", "the critics' API key itself")
    tokens_per_second: float = option(
        0.0, "engine", "speed of --engine scripted; 0: as fast as it goes", least=0
    )

    max_iterations: int | None = option(
        None,
        "refinement",
        "iterations when a request does not say; off: what the model's redraft.json says, else 1",
        least=0,
    )
    good_enough: int | None = option(
        None, "refinement", "score that ends refining when a request does not say", least=1
    )
    keep: Literal["best", "last"] | None = option(
        None, "refinement", "which response answers when a request does not say"
    )
    default_max_tokens: int | None = option(
        None,
        "refinement",
        "tokens of each response when a request does not say; off: what the window has room for",
        least=1,
    )
    max_iterations_cap: int = option(8, "refinement", "most iterations a request may ask", least=0)
    max_drafts_cap: int = option(8, "refinement", "most drafts a request may ask for", least=1)
    reasoning_field: ReasoningField = option(
        "both", "refinement", "where chat messages carry draft and feedback"
    )

    max_loops: int = option(64, "limits", "requests worked on at once", least=1)
    max_queue: int = option(256, "limits", "requests that may wait; more get a 429", least=0)
    max_share: float = option(
        1.0, "limits", "part of loops and queue one client may take, 0 to 1", least=0
    )
    requests_per_minute: int | None = option(
        None, "limits", "of one API key, or of all without keys; more get a 429", least=1
    )
    tokens_per_minute: int | None = option(
        None, "limits", "read and written, of one API key likewise", least=1
    )
    queue_timeout_s: float = option(30.0, "limits", "longest wait for a place", least=0)
    max_body_mib: float = option(4.0, "limits", "largest request body", least=0)
    max_messages: int = option(1000, "limits", "most messages of one chat", least=1)
    max_deadline_s: float = option(600.0, "limits", "longest a loop may take; 0: no limit", least=0)
    body_timeout_s: float = option(60.0, "limits", "for a request body to arrive", least=0)
    stall_s: float = option(
        120.0, "limits", "a reader that takes nothing for so long is gone; 0: never", least=0
    )
    grace_s: float = option(
        20.0, "limits", "on SIGTERM, seconds until running loops answer with their best", least=0
    )
    keep_alive_s: float = option(
        10.0, "limits", "seconds of silence in a stream before a comment is sent; 0: never", least=0
    )

    api_keys_file: str = option(
        "", "access", "file of API keys, one NAME:KEY a line; off: no key asked for"
    )
    api_keys: str = secret("access", "the API keys themselves, NAME:KEY,NAME:KEY")
    open_access: bool = option(
        False, "access", "serve without API keys on an address others can reach"
    )

    log_level: Literal["debug", "info", "warning", "error"] = option("info", "records", "log level")
    log_format: Literal["text", "json"] = option("text", "records", "log lines for people or tools")
    traces: str = option("", "records", "directory to append every trace to, as JSON lines")

    dtype: str = option("auto", "vllm", "number format of the weights")
    kv_cache_memory_bytes: int | None = option(
        None, "vllm", "memory for the KV cache; off: 256 MiB on CPU, what is free on GPU", least=1
    )
    block_size: int | None = option(
        None, "vllm", "tokens of a cache block; off: 32 on CPU, vLLM's own on GPU", least=1
    )
    max_num_seqs: int = option(64, "vllm", "completions generated at once", least=1)
    enforce_eager: bool | None = option(
        None, "vllm", "no compilation: starts faster, runs slower; off: on CPU only"
    )
    tensor_parallel_size: int = option(1, "vllm", "GPUs each layer is split over", least=1)
    pipeline_parallel_size: int = option(
        1, "vllm", "groups of GPUs the layers are spread over", least=1
    )
    data_parallel_size: int = option(1, "vllm", "copies of the model", least=1)
    in_process: bool = option(
        True, "vllm", "on CPU, fork the engine: starts faster than a process of its own"
    )
    speculate: Literal["none", "draft"] = option(
        "none", "vllm", "guess refinements from the drafts they refine: the same text, sooner"
    )
    max_restarts: int = option(3, "vllm", "attempts to bring a dead engine back", least=0)
    engine_arg: tuple[str, ...] = option(
        (), "vllm", "NAME=VALUE or NAME, any other argument of vLLM's own server; repeat it"
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

    def policy(self, manifest: DefaultPolicy) -> DefaultPolicy:
        """What a request gets that names no policy: the operator's, else the model manifest's."""
        iterations = _first(self.max_iterations, manifest.max_iterations)
        return DefaultPolicy(
            max_iterations=min(iterations, self.max_iterations_cap),
            good_enough=_first(self.good_enough, manifest.good_enough),
            keep=_first(self.keep, manifest.keep),
        )

    @property
    def critics(self) -> tuple[Critic, ...]:
        return tuple(Critic.parse(critic) for critic in self.critic)


@dataclass(frozen=True)
class Critic:
    """An engine elsewhere that gives feedback when a request names it."""

    name: str
    url: str
    model: str = ""

    @classmethod
    def parse(cls, text: str) -> Critic:
        name, found, rest = text.partition("=")
        url, _, model = rest.partition("|")
        if not found or not name or not url.startswith(("http://", "https://")):
            raise ConfigError(
                f"--critic is {text!r}, expected NAME=URL or NAME=URL|MODEL, such as "
                f"strong=http://127.0.0.1:8001/v1"
            )
        return cls(name, url, model)


def _first(configured: T | None, otherwise: T) -> T:
    return otherwise if configured is None else configured


def read(
    arguments: Sequence[str],
    environ: Mapping[str, str] = os.environ,
    program: str = "redraft serve",
) -> ServerConfig:
    return options.read(ServerConfig, program, arguments, environ)


def read_key(key: str, file: str) -> str:
    """A key given itself or in a file; empty when neither is given."""
    return key or (_read_secret(file).strip() if file else "")


def read_api_keys(config: ServerConfig) -> dict[str, str]:
    """API key -> the client's name, from the file and the environment."""
    entries = config.api_keys.replace(",", "\n").splitlines()
    if config.api_keys_file:
        entries += _read_secret(config.api_keys_file).splitlines()
    keys = {}
    for entry in entries:
        if not entry.strip() or entry.lstrip().startswith("#"):
            continue
        name, found, key = entry.partition(":")
        if not found or not name.strip() or not key.strip():
            # The entry itself may be a key, and keys are never shown.
            raise ConfigError("an API key has no name; write each as NAME:KEY")
        keys[key.strip()] = name.strip()
    return keys


def _read_secret(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the key file {file}: {error}") from error
