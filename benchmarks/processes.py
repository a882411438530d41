"""The servers a measurement starts itself, each in an environment of its own, and stops again.

All serve the same model with the same engine settings; what differs is what is measured.
"""

from __future__ import annotations

import math
import os
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

START_S, STOP_S = 300.0, 30.0


class NotStarted(Exception):
    """A server that a measurement needs did not come up; the message says where its log is."""


@dataclass(frozen=True, slots=True)
class Running:
    """A server started here. ``pids``: it, and the servers it stands on."""

    url: str  # as OpenAI clients take it
    pids: tuple[int, ...] = ()

    def cpu_s(self) -> float:
        """Seconds of processor time so far, of all its processes; NaN where it runs elsewhere."""
        if not self.pids:
            return math.nan
        spent = 0.0
        for pid in self.pids:
            parent = psutil.Process(pid)
            for process in (parent, *parent.children(recursive=True)):
                with suppress(psutil.NoSuchProcess):  # ended since the list was made
                    times = process.cpu_times()
                    spent += times.user + times.system
        return spent


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
def redraft(model: Path, settings: EngineSettings, logs: Path) -> Iterator[Running]:
    """A Redraft server, as ``redraft serve`` starts it."""
    port = free_port()
    command = [sys.executable, "-m", "server", "--model", str(model), "--served-name", "model"]
    command += ["--port", str(port), "--log-level", "warning"]
    with _running("redraft", [*command, *settings.arguments()], port, "/ready", logs) as running:
        yield running


@contextmanager
def scripted(logs: Path) -> Iterator[Running]:
    """A Redraft server whose engine takes no time."""
    port = free_port()
    command = [sys.executable, "-m", "server", "--engine", "scripted", "--port", str(port)]
    command += ["--log-level", "warning"]
    with _running("scripted", command, port, "/ready", logs) as running:
        yield running


@contextmanager
def vllm(model: Path, settings: EngineSettings, logs: Path) -> Iterator[Running]:
    """vLLM's own OpenAI server, from this environment's vLLM."""
    port = free_port()
    # The entry point itself: the wheel for CPUs has no working `vllm` command.
    command = [sys.executable, "-m", "vllm.entrypoints.launchers.api_server.entry"]
    command += ["--model", str(model), "--served-model-name", "model", "--port", str(port)]
    command += ["--host", "127.0.0.1", "--uvicorn-log-level", "warning"]
    command += ["--enable-prompt-tokens-details", *settings.arguments()]
    with _running("vllm", command, port, "/health", logs) as running:
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


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
