"""The performance targets, and the figures measured for them, read from result files.

How to add one: a Target in ``TARGETS``, whose ``read_figure`` reads the folder of one run.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from redraft.benchmarks.load.timing import ratio
from redraft.benchmarks.stats.intervals import NOTHING, Interval, median_interval
from redraft.server import jsonl

ReadFigure = Callable[[Path], Interval]
PROMPT, ALONE, MANY = 400, 1, 32


@dataclass(frozen=True, slots=True)
class Target:
    limit: float
    what: str
    at: str
    run: str  # the folder with its result
    read_figure: ReadFigure
    unit: str = "x"
    least: bool = False  # the limit is the least, else the most, that the figure may be

    @property
    def wanted(self) -> str:
        return f"{'>=' if self.least else '<='} {self.limit:g}{self.unit}"

    def met(self, value: float) -> bool:
        return value >= self.limit if self.least else value <= self.limit

    def sure(self, measured: Interval) -> bool:
        """Whether both ends of the interval give the same verdict."""
        return self.met(measured.low) == self.met(measured.high)


def measured(target: Target, runs: Path) -> Interval:
    """The figure of a target; NOTHING if its run is missing or did not measure it."""
    try:
        return target.read_figure(runs / target.run)
    except (FileNotFoundError, KeyError):
        return NOTHING


def compared(system: str, figure: str, concurrency: int) -> ReadFigure:
    """Reads a ratio from a latency run."""

    def read(folder: Path) -> Interval:
        cell = f"{PROMPT} tokens, 1 iterations, x{concurrency}"
        return _interval(_figures(folder, "latency")[cell]["ratios"][system][figure])

    return read


def direct_requests(folder: Path) -> Interval:
    return _interval(_figures(folder, "overhead")["direct"]["requests_per_cpu_s"])


def guessed(kept: float, concurrency: int) -> ReadFigure:
    """Reads tokens per second of refinements, with guesses over without."""

    def read(folder: Path) -> Interval:
        rates: dict[str, dict[int, float]] = {"plain": {}, "speculating": {}}
        for batch in _samples(folder, "speculation"):
            if (batch["kept"], batch["concurrency"]) == (kept, concurrency):
                rates[batch["system"]][batch["repeat"]] = batch["tokens"] / batch["seconds"]
        plain, ours = rates["plain"], rates["speculating"]
        return ratio([ours[repeat] for repeat in plain], list(plain.values()))

    return read


def memory_growth(folder: Path) -> Interval:
    return _interval(_figures(folder, "soak")["growth_share"]).scaled(100)


def linearity(folder: Path) -> Interval:
    """The mean cost of three iterations over the cost of the first, by repeat."""
    totals: dict[int, dict[int, list[float]]] = {}
    for sample in _samples(folder, "latency"):
        for iterations in (0, 1, 3):
            cell = f"{PROMPT} tokens, {iterations} iterations, x{ALONE}"
            if (sample["system"], sample["cell"]) == ("redraft", cell):
                by_iterations = totals.setdefault(sample["repeat"], {})
                by_iterations.setdefault(iterations, []).append(sample["total_s"])
    shares = []
    for by_iterations in totals.values():
        none, one, three = (median(by_iterations[n]) for n in (0, 1, 3))
        shares.append((three - none) / (3 * (one - none)))
    return median_interval(shares)


def _samples(folder: Path, name: str) -> Iterator[dict[str, Any]]:
    return jsonl.read(folder / f"{name}.samples.jsonl")


def _figures(folder: Path, name: str) -> Mapping[str, Any]:
    content = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    figures: Mapping[str, Any] = content["figures"]
    return figures


def _interval(content: Mapping[str, Any]) -> Interval:
    """Read an interval back; null stands for NaN."""
    estimate, low, high = (
        math.nan if content[name] is None else float(content[name])
        for name in ("estimate", "low", "high")
    )
    return Interval(estimate, low, high, content["n"], content.get("is_range", False))


LOOP, VLLM_LOOP = "loop / one uninterrupted generation", "a client-side loop over vLLM"
IN_ONE_BREATH = "loop in one breath / one uninterrupted generation"
GUESSING = "tokens per second of refinements, guessed from their drafts / not"

_at_least, _at_most = partial(Target, least=True), partial(Target, least=False)


def _of_model(model: str) -> list[Target]:
    alone, many = f"{model} model, alone", f"{model} model, {MANY} at once"
    time, cpu = f"time per token, {LOOP}", f"processor time per token, {LOOP}"
    in_time = f"time per token, {IN_ONE_BREATH}"
    answers = f"answers per second / those of {VLLM_LOOP}"
    server = "the server's processor time per streamed token / vLLM's own server's"
    run, bare, breath = (f"latency-{kind}{model}" for kind in ("", "floor-", "breath-"))
    loop = compared("client-loop", "answers_per_s", MANY)
    chat = compared("client-chat", "answers_per_s", MANY)
    server_cpu = compared("client-chat", "server_cpu_per_token", MANY)
    return [
        _at_most(1.03, time, alone, bare, compared("floor", "time_per_token", ALONE)),
        _at_most(1.05, time, many, bare, compared("floor", "time_per_token", MANY)),
        _at_most(1.03, cpu, alone, bare, compared("floor", "cpu_per_token", ALONE)),
        _at_most(1.05, cpu, many, bare, compared("floor", "cpu_per_token", MANY)),
        _at_most(1.01, in_time, alone, breath, compared("floor", "time_per_token", ALONE)),
        _at_most(1.01, in_time, many, breath, compared("floor", "time_per_token", MANY)),
        _at_least(1.3, f"{answers}, a prompt for each phase", many, run, loop),
        _at_least(1.3, f"{answers}, one chat", many, run, chat),
        _at_most(1.0, server, many, run, server_cpu),
    ]


def _guessing(least: float, what: str, kept: float) -> list[Target]:
    return [
        _at_least(least, f"{GUESSING}; {what}", at, "speculation", guessed(kept, n))
        for n, at in ((ALONE, "alone"), (MANY, f"{MANY} at once"))
    ]


TARGETS: tuple[Target, ...] = (
    *_of_model("small"),
    *_of_model("large"),
    *_guessing(2.0, "80% kept", 0.8),
    *_guessing(0.95, "nothing kept", 0.0),
    _at_least(
        1.3,
        f"answers per second / those of {VLLM_LOOP}, one chat; 80% kept and guessed",
        f"large model, {MANY} at once",
        "latency-kept",
        compared("client-chat", "answers_per_s", MANY),
    ),
    _at_least(
        2.0,
        "answers per second / those of optillm over vLLM",
        f"small model, {MANY} at once",
        "latency-small",
        compared("optillm", "answers_per_s", MANY),
    ),
    _at_least(
        10.0,
        "time to the first token, optillm's / ours",
        f"small model, {MANY} at once",
        "latency-small",
        compared("optillm", "their_first_token", MANY),
    ),
    _at_least(
        10.0,
        "time to the first token, a buffered fusion loop's over vLLM / that of combined drafts",
        f"small model, {MANY} at once",
        "latency-fusion",
        compared("fusion", "their_first_token", MANY),
    ),
    _at_least(
        1.0,
        "time to the answer, a buffered fusion loop's over vLLM / that of combined drafts",
        f"small model, {MANY} at once",
        "latency-fusion",
        compared("fusion", "their_answer", MANY),
    ),
    _at_least(
        500.0,
        "direct requests per second of processor time",
        "an engine that takes no time",
        "overhead",
        direct_requests,
        "",
    ),
    _at_most(
        1.1,
        "what each of 3 iterations adds / what the first does",
        "small model, alone",
        "latency-linear",
        linearity,
    ),
    _at_most(1.0, "growth of memory", "small model, 8 at once", "soak", memory_growth, "%"),
)
