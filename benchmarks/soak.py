"""Whether memory and descriptors stay flat and no answer is lost or wrong: constant load for
minutes on the server's processes, with clients that leave and engines that are killed.

    redraft bench soak                              # an engine that takes no time: most requests
    redraft bench soak --model DIR --kills 3        # with vLLM, whose process gets kill -9

Answers direct and refined, whole and streamed, of changing lengths; every fifth client leaves in
the middle of its stream. What is measured is the growth of memory of each process over the whole
run, from where it has settled: the server from the end of the first, undisturbed part, the engine
as long after its last start. The exit code is 0 if memory is shown to be flat, the whole interval
of its growth below --max-growth, if no more descriptors are open at the end than a few above those
of the first answers, if no request was lost and no answer was wrong.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from redraft.benchmarks.commands.options import read
from redraft.benchmarks.load import servers, soaking
from redraft.benchmarks.load.soaking import Soaked
from redraft.benchmarks.load.usage import Running
from redraft.benchmarks.output.plots import lines
from redraft.benchmarks.output.results import Cell, Result, Table, publish
from redraft.benchmarks.stats.intervals import Interval
from redraft.server.options import ConfigError, option
from redraft.train.workbench import tasks

MIB = 1 << 20
WINDOWS = 10  # the run is cut into so many; their medians are nearly independent
SPARE_DESCRIPTORS = 16  # connections that are kept for the next request
T_OF_WINDOWS = 2.306  # 97.5% point of Student's t with WINDOWS - 2 degrees of freedom
KILLS_UNTIL = 0.5  # share of the run: afterwards the last engine settles and is measured

Sample = tuple[float, int]  # seconds since the start, bytes or descriptors


@dataclass(frozen=True, kw_only=True)
class SoakOptions:
    model: Path | None = option("model directory; none: an engine that takes no time", None)
    minutes: float = option("how long", 10.0)
    kills: int = option("kill -9 of the engine's process, in the first half", 0, least=0)
    concurrency: int = option("requests under way at once", 8, least=1)
    max_tokens: int = option("of each phase", 64, least=1)
    questions: int = option("whose answers are compared with those at rest", 16, least=0)
    every_s: float = option("seconds between two looks at the memory", 1.0)
    settle: float = option("share of the run that is undisturbed and left out, at its start", 0.2)
    max_growth: float = option("share of memory: flat is below it", 0.01)
    kv_cache_mib: int = option("of vLLM's cache", 256)
    max_model_len: int = option("window of vLLM, in tokens", 2048)
    dtype: str | None = option(
        "of vLLM, float32 for instance, in which other requests hardly change an answer; none: "
        "bfloat16 where the processor has instructions for it",
        None,
    )
    out: Path = option("folder for the results", Path("runs/soak"))

    def __post_init__(self) -> None:
        if self.kills and not self.model:
            raise ConfigError("--kills needs --model: the scripted engine has no process")


def main(arguments: Sequence[str]) -> int:
    return run(read(SoakOptions, "soak", arguments, __doc__))


def run(options: SoakOptions) -> int:
    seconds = 60 * options.minutes
    load = soaking.SoakLoad(
        model="model" if options.model else "scripted",
        questions=[task.instruction for task in tasks.sample("test", None, options.questions, 1)],
        seconds=seconds,
        calm_s=options.settle * seconds,
        kills_until_s=KILLS_UNTIL * seconds,
        kills=options.kills,
        concurrency=options.concurrency,
        max_tokens=options.max_tokens,
        every_s=options.every_s,
    )
    with _server(options) as server:
        soaked = asyncio.run(soaking.soak(load, server))
    return _report(options, soaked)


def _server(options: SoakOptions) -> AbstractContextManager[Running]:
    logs = options.out / "logs"
    if not options.model:
        return servers.scripted(logs)
    settings = servers.EngineSettings(options.kv_cache_mib, options.max_model_len, options.dtype)
    return servers.redraft(options.model, settings, logs)


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


@dataclass(frozen=True, slots=True)
class Held:
    """What one process holds, and what it gained over the run."""

    memory: float
    gained: Interval
    descriptors: int

    @property
    def share(self) -> Interval:
        return self.gained.scaled(1 / self.memory)


def held(options: SoakOptions, soaked: Soaked) -> dict[str, Held]:
    """By process: each from when it has settled."""
    found = {}
    for role, looks in soaked.looks.items():
        settle = options.settle
        if role == "engine" and soaked.back_at:
            settle += soaked.back_at[-1] / looks[-1][0]
        memory = [(at, footprint.memory_bytes) for at, footprint in looks]
        descriptors = [(at, footprint.descriptors) for at, footprint in looks]
        size = median(size for at, size in memory if at >= settle * looks[-1][0])
        found[role] = Held(size, growth(memory, settle), opened(descriptors, settle))
    return found


def _report(options: SoakOptions, soaked: Soaked) -> int:
    processes = held(options, soaked)
    most = max(processes.values(), key=lambda process: process.share.high)
    descriptors = max(process.descriptors for process in processes.values())
    flat = most.share.high <= options.max_growth and descriptors <= SPARE_DESCRIPTORS
    figures = {
        "growth_bytes": most.gained,
        "growth_share": most.share,  # of the process that grew most
        "memory_bytes": sum(process.memory for process in processes.values()),
        "descriptors_gained": descriptors,
        "flat": flat,
        "answered": dict(soaked.answered),
        "asked_again": dict(soaked.again),
        "lost": soaked.lost.total(),
        "compared": soaked.compared,
        "cut_short": soaked.cut_short,
        "differed_in_the_calm": soaked.differed,
        "wrong": len(soaked.wrong),
        "wrong_answers": soaked.wrong[:10],
        "killed_at_s": [round(at, 1) for at in soaked.killed_at],
        "back_after_s": [
            round(back - at, 1) for at, back in zip(soaked.killed_at, soaked.back_at, strict=True)
        ],
    }
    about = "Memory and answers of the server's processes under constant load."
    result = Result(
        *("soak", about, asdict(options), figures, soaked.lost),
        tables=(_memory(options, processes, flat), _answers(options, soaked)),
        plots=(_plot(options, soaked),),
        samples=[
            {"process": role, "seconds": round(at, 2), **asdict(footprint)}
            for role, looks in soaked.looks.items()
            for at, footprint in looks
        ],
    )
    publish(result, options.out)
    return 0 if flat and not soaked.lost and not soaked.wrong else 1


def _memory(options: SoakOptions, processes: dict[str, Held], flat: bool) -> Table:
    columns = ("process", "memory, MiB", "growth, MiB", "growth, %", "descriptors gained")
    rows: list[tuple[Cell, ...]] = [
        (
            *(role, f"{process.memory / MIB:.0f}", process.gained.scaled(1 / MIB).shown(2)),
            *(process.share.scaled(100).shown(2), process.descriptors),
        )
        for role, process in processes.items()
    ]
    note = (
        f"Growth over the run, with the 95% interval of a regression over what follows its first "
        f"{100 * options.settle:g}% (for the engine, as long after its last start); flat when all "
        f"of it is below {100 * options.max_growth:g}%: {'yes' if flat else 'no'}."
    )
    return Table("Memory under load", columns, tuple(rows), note)


def _answers(options: SoakOptions, soaked: Soaked) -> Table:
    columns = (
        *("minutes", "kills", "requests", "asked again", "lost"),
        *("compared", "cut short", "wrong", "differed in the calm"),
    )
    row: tuple[Cell, ...] = (
        *(options.minutes, len(soaked.killed_at), soaked.answered.total()),
        *(soaked.again.total(), soaked.lost.total()),
        *(soaked.compared, soaked.cut_short, len(soaked.wrong), soaked.differed),
    )
    kinds = ", ".join(f"{number} {kind}" for kind, number in soaked.answered.items())
    note = (
        "Lost: neither answered nor told to come again. Wrong: an answer at temperature 0 that the "
        "model gave to that question neither alone nor in the undisturbed part, where some differ "
        f"from the one at rest by themselves. Answered: {kinds}."
    )
    return Table("Answers under load", columns, (row,), note)


def _plot(options: SoakOptions, soaked: Soaked) -> str:
    series = {}
    for role, looks in soaked.looks.items():
        sizes = [(at / 60, footprint.memory_bytes / MIB) for at, footprint in looks]
        step = max(1, len(sizes) // 200)
        series[role] = [(at, Interval(size, size, size, 1)) for at, size in sizes[::step]]
    return lines(options.out / "soak.svg", series, ("minutes", "memory, MiB"))
