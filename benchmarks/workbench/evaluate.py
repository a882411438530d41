"""Record a served model's answers to the workbench's instructions, through the public API.

    redraft bench workbench evaluate --url URL --output answers.jsonl
    redraft bench workbench evaluate --model DIR --output answers.jsonl

With ``--model`` the server is started for it and stopped afterwards. ``--iterations 0`` records
direct answers. figures.py computes what the answers say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from redraft.benchmarks.commands.errors import MeasurementFailed
from redraft.benchmarks.commands.options import read
from redraft.benchmarks.load import servers
from redraft.benchmarks.load.endpoint import Endpoint, Session
from redraft.benchmarks.load.pool import work_through
from redraft.server import jsonl
from redraft.server.options import ConfigError, option
from redraft.train.workbench.families import FAMILIES
from redraft.train.workbench.tasks import Task, sample


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    output: Path = option("file for the answers (.jsonl)")
    url: str | None = option("of a running server, /v1 included; none: start one for --model", None)
    model: Path | None = option("folder of the model to serve", None)
    iterations: int = option("most refinements of one draft; 0: direct answers", 3)
    good_enough: int | None = option("stop at a response with this score; none: never", None)
    temperature: float = option("of the draft; 0: the likeliest", 0.0)
    per_family: int = option("instructions of each family", 200)
    families: tuple[str, ...] = option("only these", tuple(FAMILIES))
    split: Literal["train", "preferences", "dev", "test"] = option("of the instructions", "test")
    held_out_wordings: bool = option("in wordings that were never trained on", False)
    seed: int = option("of the draw", 7)
    concurrency: int = option("requests under way at once", 32)


def main(arguments: Sequence[str]) -> int:
    options = read(EvaluateOptions, "workbench evaluate", arguments, __doc__)
    print(f"evaluate: {evaluate(options)} answers in {options.output}")
    return 0


def evaluate(options: EvaluateOptions) -> int:
    """Write one row for each instruction; returns how many."""
    if unknown := set(options.families) - set(FAMILIES):
        raise ConfigError(f"no family {min(unknown)!r}; families: {', '.join(FAMILIES)}")
    held_out = options.held_out_wordings
    tasks = [
        task
        for family in options.families
        for task in sample(options.split, family, options.per_family, options.seed, held_out)
    ]
    with _served(options) as url:
        rows = asyncio.run(_ask_all(url, tasks, options))
    return jsonl.write(options.output, rows)


@contextmanager
def _served(options: EvaluateOptions) -> Iterator[str]:
    if options.url:
        yield options.url
        return
    if not options.model:
        raise ConfigError("evaluate needs --url or --model")
    logs = options.output.parent / "logs"
    with servers.redraft(options.model, None, logs) as running:
        yield running.url


async def _ask_all(
    url: str, tasks: Sequence[Task], options: EvaluateOptions
) -> list[dict[str, Any]]:
    rows: dict[str, dict[str, Any]] = {}
    async with Endpoint(url, "").session() as session:

        async def record(task: Task) -> None:
            rows[task.instruction] = await _ask(session, task, options)

        failures = await work_through(tasks, record, options.concurrency, "answers")
    if failures:
        raise MeasurementFailed(
            f"{failures.total()} of {len(tasks)} instructions got no answer: {dict(failures)}"
        )
    return [rows[task.instruction] for task in tasks]


async def _ask(session: Session, task: Task, options: EvaluateOptions) -> dict[str, Any]:
    """The row of one instruction, with the trace of its answer."""
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
    reply = await session.post("refine", body)
    trace = reply["trace"]
    refinements = [i["refinement"]["text"] for i in trace["iterations"] if i["refinement"]]
    phases = reply["usage"]["phases"]
    return {
        "family": task.family,
        "instruction": task.instruction,
        "held_out": task.held_out,
        "responses": [trace["drafts"][trace["picked"]]["text"], *refinements],
        "feedback": [iteration["feedback"] for iteration in trace["iterations"]],
        "answer": reply["answer"],
        "stop_reason": reply["stop_reason"],
        "malformed": trace["malformed"],
        "tokens": {phase: used["completion_tokens"] for phase, used in phases.items()},
    }
