"""What the server itself costs: requests and tokens per second of processor time.

    redraft bench overhead

Starts a server whose engine takes no time and canned text, asks it directly and asks it to refine,
whole and streamed, and divides by the processor time of the server's process. Processor time, not
the clock's: the client may share the machine, and other programs may.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from redraft.benchmarks.commands.options import read
from redraft.benchmarks.load import servers
from redraft.benchmarks.load.endpoint import Endpoint, Session
from redraft.benchmarks.load.pool import work_through
from redraft.benchmarks.load.usage import Running
from redraft.benchmarks.output.plots import bars
from redraft.benchmarks.output.results import Result, Table, publish
from redraft.benchmarks.stats.intervals import MEDIANS, Interval, median_interval
from redraft.server.options import option

KINDS: dict[str, dict[str, Any]] = {
    "direct": {"model": "scripted:direct"},
    "direct, streamed": {"model": "scripted:direct", "stream": True},
    "refined": {"model": "scripted:refine-1"},
    "refined, streamed": {"model": "scripted:refine-1", "stream": True},
}
MESSAGES = [{"role": "user", "content": "Name four animals in alphabetical order."}]


@dataclass(frozen=True, kw_only=True)
class OverheadOptions:
    requests: int = option("of each kind and repeat", 1000, least=1)
    concurrency: int = option("requests under way at once", 32, least=1)
    repeats: int = option("of all kinds, after one that warms up", 5, least=1)
    out: Path = option("folder for the results", Path("runs/overhead"))


@dataclass(frozen=True, slots=True)
class Throughput:
    requests_per_cpu_s: float
    tokens_per_cpu_s: float
    requests_per_s: float


def main(arguments: Sequence[str]) -> int:
    return run(read(OverheadOptions, "overhead", arguments, __doc__))


def run(options: OverheadOptions) -> int:
    with servers.scripted(options.out / "logs") as server:
        rates, failures = asyncio.run(measure(options, server))
    _report(options, rates, failures)
    return 1 if failures else 0


async def measure(
    options: OverheadOptions, server: Running
) -> tuple[dict[str, list[Throughput]], Counter[str]]:
    rates: dict[str, list[Throughput]] = {kind: [] for kind in KINDS}
    failures: Counter[str] = Counter()
    async with Endpoint(server.url, "scripted").session() as session:
        for repeat in range(-1, options.repeats):  # the first warms up
            for kind, body in KINDS.items():
                spent, began = server.cpu().total_s, time.perf_counter()
                tokens, failed = await ask(session, body, options)
                # Processor time is counted in ticks of 10 ms; fewer than one is still one.
                cpu = max(0.01, server.cpu().total_s - spent)
                seconds = time.perf_counter() - began
                failures += failed
                answered = options.requests - failed.total()
                if repeat >= 0 and answered:
                    per_s = (answered / cpu, tokens / cpu, answered / seconds)
                    rates[kind].append(Throughput(*per_s))
    return rates, failures


async def ask(
    session: Session, body: dict[str, Any], options: OverheadOptions
) -> tuple[int, Counter[str]]:
    """The number of tokens of all answers, and the failures."""
    tokens = 0
    request = {**body, "messages": MESSAGES}

    async def whole(number: int) -> None:
        nonlocal tokens
        reply = await session.post("chat/completions", request)
        tokens += reply["usage"]["completion_tokens"]

    async def streamed(number: int) -> None:
        nonlocal tokens
        with_usage = {**request, "stream_options": {"include_usage": True}}
        async for _, chunk in session.stream("chat/completions", with_usage):
            if used := chunk.get("usage"):
                tokens += used["completion_tokens"]

    one: Callable[[int], Awaitable[None]] = streamed if body.get("stream") else whole
    failures = await work_through(range(options.requests), one, options.concurrency, "requests")
    return tokens, failures


def _report(
    options: OverheadOptions, rates: dict[str, list[Throughput]], failures: Counter[str]
) -> None:
    per_cpu = {k: median_interval([m.requests_per_cpu_s for m in of]) for k, of in rates.items()}
    tokens = {k: median_interval([m.tokens_per_cpu_s for m in of]) for k, of in rates.items()}
    clock = {k: median_interval([m.requests_per_s for m in of]) for k, of in rates.items()}
    rows = tuple((kind, per_cpu[kind], _us(tokens[kind]), clock[kind]) for kind in rates)
    columns = ("kind", "requests per CPU second", "CPU per token, us", "requests/s by the clock")
    table = Table("Cost of the server itself", columns, rows, f"Over repeats. {MEDIANS}")
    plot = bars(options.out / "overhead.svg", per_cpu, "requests per CPU second")
    figures = {
        kind: {"requests_per_cpu_s": per_cpu[kind], "tokens_per_cpu_s": tokens[kind]}
        for kind in rates
    }
    about = "Processor time of the server with an engine that takes none."
    config = asdict(options)
    publish(Result("overhead", about, config, figures, failures, (table,), (plot,)), options.out)


def _us(rate: Interval) -> str:
    if not rate.n:
        return "-"
    estimate, low, high = (1e6 / each for each in (rate.estimate, rate.high, rate.low))
    return replace(rate, estimate=estimate, low=low, high=high).shown(1)
