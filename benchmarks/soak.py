"""Whether memory and descriptors stay flat: constant load for minutes on the server's processes.

    redraft bench soak                              # an engine that takes no time: most requests
    redraft bench soak --model DIR --minutes 10     # with vLLM

Answers direct and refined, whole and streamed, of changing lengths; every fifth client leaves in
the middle of its stream. What is measured is the growth of memory over the whole run, from where
a server that has just started has settled. The exit code is 0 if memory is shown to be flat, the
whole interval of its growth below --max-growth, if no more descriptors are open at the end than a
few above those of the first answers, and if nothing failed.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager, aclosing
from dataclasses import asdict, dataclass, field
from itertools import count, cycle
from pathlib import Path
from statistics import median
from typing import Any

from redraft.benchmarks.commands.options import read
from redraft.benchmarks.load import servers
from redraft.benchmarks.load.endpoint import CallFailed, Endpoint, Session
from redraft.benchmarks.load.usage import Running
from redraft.benchmarks.load.workload import prompts
from redraft.benchmarks.output.plots import lines
from redraft.benchmarks.output.results import Result, Table, publish
from redraft.benchmarks.stats.intervals import Interval
from redraft.server.options import option

KINDS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("direct", {"model": ":direct"}),
    ("refined", {"model": ":refine-1"}),
    ("direct, streamed", {"model": ":direct", "stream": True}),
    ("refined, streamed", {"model": ":refine-1", "stream": True}),
    ("client leaves", {"model": ":refine-1", "stream": True}),
)
PROMPT_TOKENS = (20, 200, 60, 400)
MIB = 1 << 20
WINDOWS = 10  # the run is cut into so many; their medians are nearly independent
SPARE_DESCRIPTORS = 16  # connections that are kept for the next request
T_OF_WINDOWS = 2.306  # 97.5% point of Student's t with WINDOWS - 2 degrees of freedom

Sample = tuple[float, int]  # seconds since the start, bytes or descriptors


@dataclass(frozen=True, kw_only=True)
class SoakOptions:
    model: Path | None = option("model directory; none: an engine that takes no time", None)
    minutes: float = option("how long", 10.0)
    concurrency: int = option("requests under way at once", 8, least=1)
    max_tokens: int = option("of each phase", 64, least=1)
    every_s: float = option("seconds between two looks at the memory", 1.0)
    settle: float = option("share of the run that is left out, at its start", 0.2)
    max_growth: float = option("share of memory: flat is below it", 0.01)
    kv_cache_mib: int = option("of vLLM's cache", 256)
    out: Path = option("folder for the results", Path("runs/soak"))


def main(arguments: Sequence[str]) -> int:
    return run(read(SoakOptions, "soak", arguments, __doc__))


def run(options: SoakOptions) -> int:
    with _server(options) as server:
        soaked = asyncio.run(soak(options, server))
    return _report(options, soaked)


def _server(options: SoakOptions) -> AbstractContextManager[Running]:
    logs = options.out / "logs"
    if not options.model:
        return servers.scripted(logs)
    return servers.redraft(options.model, servers.EngineSettings(options.kv_cache_mib), logs)


@dataclass
class Soaked:
    """Numbers of answers and failures by kind, and the looks at the server."""

    answered: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    memory: list[Sample] = field(default_factory=list)
    descriptors: list[Sample] = field(default_factory=list)


async def soak(options: SoakOptions, server: Running) -> Soaked:
    soaked = Soaked()
    start = time.monotonic()
    end = start + 60 * options.minutes
    texts = zip(cycle(PROMPT_TOKENS), count(), strict=False)
    kinds = cycle(KINDS)
    name = "model" if options.model else "scripted"

    async def caller(session: Session) -> None:
        while time.monotonic() < end:
            kind, fields = next(kinds)
            tokens, seed = next(texts)
            message = {"role": "user", "content": next(prompts(tokens, seed))}
            body = {**fields, "model": name + fields["model"], "messages": [message]}
            try:
                await _ask(session, body | {"max_tokens": options.max_tokens}, kind)
                soaked.answered[kind] += 1
            except CallFailed as failed:
                soaked.failures[f"{kind}: {failed.reason}"] += 1

    async def watcher() -> None:
        while time.monotonic() < end:
            now = time.monotonic() - start
            soaked.memory.append((now, server.memory_bytes()))
            soaked.descriptors.append((now, server.descriptors()))
            await asyncio.sleep(options.every_s)

    async with Endpoint(server.url, name).session() as session, asyncio.TaskGroup() as tasks:
        tasks.create_task(watcher())
        for _ in range(options.concurrency):
            tasks.create_task(caller(session))
    return soaked


async def _ask(session: Session, body: dict[str, Any], kind: str) -> None:
    if not body.get("stream"):
        await session.post("chat/completions", body)
        return
    seen = 0
    async with aclosing(session.stream("chat/completions", body)) as stream:
        async for _ in stream:
            seen += 1
            if kind == "client leaves" and seen == 3:
                break


def growth(samples: Sequence[Sample], settle: float) -> Interval:
    """Bytes gained over the whole run, from the slope of the medians of windows."""
    import numpy as np

    seconds, memory = np.array(samples, dtype=float).T
    kept = seconds >= settle * seconds[-1]
    if kept.sum() < WINDOWS:
        raise ValueError(f"{kept.sum()} looks at the memory; {WINDOWS} are needed for a slope")
    at = np.array([np.median(part) for part in np.array_split(seconds[kept], WINDOWS)])
    held = np.array([np.median(part) for part in np.array_split(memory[kept], WINDOWS)])
    centred = at - at.mean()
    slope = float(centred @ held / (centred @ centred))
    rest = held - held.mean() - slope * centred
    error = float(np.sqrt(rest @ rest / (WINDOWS - 2) / (centred @ centred)))
    run, reach = float(seconds[-1]), T_OF_WINDOWS * error
    return Interval(slope * run, (slope - reach) * run, (slope + reach) * run, WINDOWS)


def opened(samples: Sequence[Sample], settle: float) -> int:
    """Descriptors gained: the median of the last window over that of the first after settling."""
    kept = [number for at, number in samples if at >= settle * samples[-1][0]]
    window = max(1, len(kept) // WINDOWS)
    return round(median(kept[-window:]) - median(kept[:window]))


def _report(options: SoakOptions, soaked: Soaked) -> int:
    answered, failures, samples = soaked.answered, soaked.failures, soaked.memory
    gained_descriptors = opened(soaked.descriptors, options.settle)
    gained = growth(samples, options.settle)
    held = median(size for _, size in samples)
    share = gained.scaled(1 / held)
    flat = share.high <= options.max_growth and gained_descriptors <= SPARE_DESCRIPTORS
    minutes = [(at / 60, Interval(size / MIB, size / MIB, size / MIB, 1)) for at, size in samples]
    step = max(1, len(minutes) // 200)
    plot = lines(options.out / "soak.svg", {"": minutes[::step]}, ("minutes", "memory, MiB"))
    columns = (
        *("minutes", "requests", "failed", "memory, MiB", "growth, MiB", "growth, %"),
        *("descriptors gained", "flat"),
    )
    row = (
        options.minutes,
        answered.total(),
        failures.total(),
        f"{held / MIB:.0f}",
        gained.scaled(1 / MIB).shown(2),
        share.scaled(100).shown(2),
        gained_descriptors,
        "yes" if flat else "no",
    )
    kinds = ", ".join(f"{number} {kind}" for kind, number in answered.items())
    note = (
        f"Growth over the run, with the 95% interval of a regression; flat when all of it is below "
        f"{100 * options.max_growth:g}%. Answered: {kinds}."
    )
    figures = {
        "growth_bytes": gained,
        "growth_share": share,
        "memory_bytes": held,
        "descriptors_gained": gained_descriptors,
        "flat": flat,
        "answered": dict(answered),
    }
    looks = [
        {"seconds": round(at, 2), "bytes": size, "descriptors": number}
        for (at, size), (_, number) in zip(samples, soaked.descriptors, strict=True)
    ]
    about = "Memory of the server's processes under constant load."
    table = Table("Memory under load", columns, (row,), note)
    config = asdict(options)
    publish(Result("soak", about, config, figures, failures, (table,), (plot,), looks), options.out)
    return 0 if flat and not failures else 1
