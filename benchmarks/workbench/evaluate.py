"""Ask a served model the workbench's test instructions, through the public API, and record all.

    python -m redraft.benchmarks.workbench.evaluate --url URL --output answers.jsonl
    python -m redraft.benchmarks.workbench.evaluate --model DIR --output answers.jsonl

With ``--model`` the server is started for it and stopped afterwards. ``--iterations 0`` records
direct answers. train/workbench/figures.py computes what the answers say.
"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.error import URLError

from tqdm import tqdm

from redraft.server import jsonl
from redraft.server.options import ConfigError, option
from redraft.train.program import read
from redraft.train.workbench.families import FAMILIES
from redraft.train.workbench.tasks import Task, sample

_STARTUP_S = 300.0
_STOP_S = 30.0


@dataclass(frozen=True, slots=True)
class EvaluateOptions:
    """Answers of a served model to test instructions, through ``POST /v1/refine``."""

    output: str = option("file for the answers (.jsonl)")
    url: str | None = option("of a running server; none: start one for --model", None)
    model: str | None = option("folder of the model to serve", None)
    iterations: int = option("most refinements of one draft; 0: direct answers", 3)
    good_enough: int | None = option("stop at a response with this score; none: never", None)
    temperature: float = option("of the draft; 0: the likeliest", 0.0)
    per_family: int = option("instructions of each family", 200)
    families: tuple[str, ...] = option("only these", tuple(FAMILIES))
    split: Literal["train", "preferences", "dev", "test"] = option("of the instructions", "test")
    held_out_wordings: bool = option("in wordings that were never trained on", False)
    seed: int = option("of the draw", 7)
    concurrency: int = option("requests under way at once", 32)


def evaluate(options: EvaluateOptions) -> int:
    """Write one row for each instruction; returns how many."""
    if unknown := set(options.families) - set(FAMILIES):
        raise ConfigError(f"no family {min(unknown)!r}; families: {', '.join(FAMILIES)}")
    tasks = [task for name in options.families for task in _tasks(options, name)]
    with _served(options) as url, ThreadPoolExecutor(options.concurrency) as pool:
        answers = pool.map(lambda task: ask(url, task, options), tasks)
        rows = list(tqdm(answers, total=len(tasks), desc="evaluate", unit="answer"))
        return jsonl.write(Path(options.output), rows)


def _tasks(options: EvaluateOptions, family: str) -> list[Task]:
    return sample(
        options.split, family, options.per_family, options.seed, options.held_out_wordings
    )


def ask(url: str, task: Task, options: EvaluateOptions) -> dict[str, Any]:
    """One instruction, and the whole trace of its answer."""
    body = {
        "prompt": task.instruction,
        "max_iterations": options.iterations,
        "keep": "last",
        "temperature": options.temperature,
        "seed": options.seed,
        "trace": True,
    }
    if options.good_enough is not None:
        body["good_enough"] = options.good_enough
    answer = _post(f"{url}/v1/refine", body)
    trace = answer["trace"]
    refinements = [i["refinement"]["text"] for i in trace["iterations"] if i["refinement"]]
    phases = answer["usage"]["phases"]
    return {
        "family": task.family,
        "instruction": task.instruction,
        "held_out": task.held_out,
        "responses": [trace["drafts"][trace["picked"]]["text"], *refinements],
        "feedback": [iteration["feedback"] for iteration in trace["iterations"]],
        "answer": answer["answer"],
        "stop_reason": answer["stop_reason"],
        "malformed": trace["malformed"],
        "tokens": {phase: used["completion_tokens"] for phase, used in phases.items()},
    }


def _post(url: str, body: dict[str, Any]) -> dict[str, Any]:
    data = json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=600) as response:
        content: dict[str, Any] = json.load(response)
    return content


@contextmanager
def _served(options: EvaluateOptions) -> Iterator[str]:
    if options.url:
        yield options.url.rstrip("/")
        return
    if not options.model:
        raise ConfigError("evaluate needs --url or --model")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "redraft.server",
        "--model",
        options.model,
        "--port",
        str(port),
    ]
    command += ["--log-level", "warning"]  # thousands of requests: not one line each
    server = subprocess.Popen(command)
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(url, server)
        yield url
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(_STOP_S)
        except subprocess.TimeoutExpired:  # nothing is in flight, so nothing is lost
            server.kill()
            server.wait()


def _wait(url: str, server: subprocess.Popen[bytes]) -> None:
    ends = time.monotonic() + _STARTUP_S
    while time.monotonic() < ends:
        if server.poll() is not None:
            raise ConfigError(f"the server ended with status {server.returncode}; see above")
        try:
            urllib.request.urlopen(f"{url}/ready", timeout=5).close()
        except (URLError, OSError):
            time.sleep(0.5)
        else:
            return
    raise ConfigError(f"the server was not ready within {_STARTUP_S:.0f} s")


def main(argv: Sequence[str]) -> int:
    options = read(EvaluateOptions, "evaluate", argv)
    print(f"evaluate: {evaluate(options)} answers in {options.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
