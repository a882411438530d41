"""Time: what refining costs in a server, against doing it without one.

    redraft bench latency --model DIR --systems redraft floor client-loop
    redraft bench latency --url redraft=http://host:8000/v1 --url floor=http://host:8000/v1

With --model the servers are started and stopped here, on the same model with the same engine
settings; with --url they are somewhere already. The floor is one uninterrupted generation of as
many tokens on Redraft's server. Every repeat goes through all cells, in each the systems follow
each other at once, and ratios are formed repeat by repeat: a slow minute of the machine favours
nobody.

A model whose texts differ in length makes systems incomparable: `redraft bench phased-model` makes
one of any size whose phases are all equally long.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from itertools import islice, product
from pathlib import Path
from typing import Any

from redraft.benchmarks.load.endpoint import CallFailed, Endpoint
from redraft.benchmarks.load.optillm_environment import AUTO
from redraft.benchmarks.load.peers import peers
from redraft.benchmarks.load.systems import SYSTEMS, System
from redraft.benchmarks.load.timing import Batch, Load, Timing
from redraft.benchmarks.load.usage import Running
from redraft.benchmarks.load.workload import arrivals, prompts
from redraft.benchmarks.output.journal import Journal
from redraft.benchmarks.output.latency_report import report

DEFAULT_SYSTEMS = ("redraft", "floor", "client-loop", "client-chat")


@dataclass(frozen=True, slots=True)
class Cell:
    """One setting of the load: so many at once, or arriving by themselves at a rate."""

    prompt_tokens: int
    iterations: int
    concurrency: int = 0
    rate: float = 0.0

    @property
    def name(self) -> str:
        load = f"{self.rate:g}/s" if self.rate else f"x{self.concurrency}"
        return f"{self.prompt_tokens} tokens, {self.iterations} iterations, {load}"

    def json(self) -> dict[str, Any]:
        return {
            "prompt_tokens": self.prompt_tokens,
            "iterations": self.iterations,
            "concurrency": self.concurrency,
            "rate": self.rate,
        }


def main(arguments: Sequence[str]) -> int:
    options = parser().parse_args(arguments)
    cells = [
        Cell(tokens, iterations, concurrency)
        for tokens, iterations, concurrency in product(
            options.prompt_tokens, options.iterations, options.concurrency
        )
    ]
    cells += [
        Cell(tokens, iterations, rate=rate)
        for tokens, iterations, rate in product(
            options.prompt_tokens, options.iterations, options.rates
        )
    ]
    with peers(options) as running:
        batches = asyncio.run(measure(options, running.servers, cells))
    failures: Counter[str] = Counter()
    for each in batches:
        failures.update({f"{each.system}: {why}": n for why, n in each.failures.items()})
    config = {key: value for key, value in vars(options).items() if key != "url"}
    config |= {"urls": running.urls, "versions": running.versions}
    report(options.out, config, cells, batches, failures, options.slo_answer_s, options.slo_total_s)
    asked = sum(len(batch.timings) + batch.failed for batch in batches)
    return 1 if failures.total() > options.max_failed * asked else 0


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="redraft bench latency",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = top.add_argument
    add("--model", type=Path, help="directory of the model; the servers are started here")
    add("--url", action="append", default=[], help="SYSTEM=URL of a running server; repeat it")
    add("--served-name", default="model", help="what running servers call the model")
    add("--systems", nargs="+", choices=list(SYSTEMS), default=list(DEFAULT_SYSTEMS))
    add(
        "--optillm",
        default=AUTO,
        help="the optillm program; %(default)s installs it into the user's cache folder",
    )
    add("--serve-options", default="", help="further options for redraft serve, in one string")
    add("--prompt-tokens", type=int, nargs="+", default=[50, 400, 1500])
    add("--iterations", type=int, nargs="+", default=[0, 1, 2, 3])
    add("--concurrency", type=int, nargs="*", default=[1, 8, 32])
    add("--rates", type=float, nargs="*", default=[], help="open loop: requests a second")
    add("--seconds", type=float, default=20.0, help="of arrivals at each rate")
    add("--slo-answer-s", type=float, default=2.0, help="goodput: first answer token within")
    add("--slo-total-s", type=float, default=10.0, help="goodput: whole answer within")
    add("--requests", type=int, default=8, help="of each system, cell and repeat, at the least")
    add("--repeats", type=int, default=3)
    add("--phase-tokens", type=int, default=65, help="of a phase, its end included")
    add("--temperature", type=float, default=1.0)
    add("--kv-cache-mib", type=int, default=512)
    add("--max-model-len", type=int, default=4096)
    add("--timeout-s", type=float, default=300.0)
    add("--seed", type=int, default=0)
    add("--max-failed", type=float, default=0.0, help="share of requests that may fail")
    add("--out", type=Path, default=Path("runs/latency"))
    return top


async def measure(
    options: argparse.Namespace, servers: Mapping[str, Running], cells: Sequence[Cell]
) -> list[Batch]:
    """Every batch, those of an earlier run that was stopped included."""
    model = "model" if options.model else options.served_name
    load = Load(options.phase_tokens, options.temperature)
    batches: list[Batch] = []
    async with AsyncExitStack() as stack:
        journal = stack.enter_context(Journal(options.out / "batches.jsonl"))
        systems: list[System] = []
        for name, server in servers.items():
            endpoint = Endpoint(server.url, model, timeout_s=options.timeout_s)
            session = await stack.enter_async_context(endpoint.session())
            systems.append(SYSTEMS[name](session, load))
        for repeat, cell, system in turns(options.repeats, cells, systems):
            key = batch_key(options, cell, repeat, system)
            if key not in journal:
                await warm_up(system, cell, options.seed - repeat)
                found = await one_batch(options, servers, system, cell, repeat)
                journal.add(key, found.json())
            batches.append(Batch.of(journal.records[key]))
    return batches


def turns(
    repeats: int, cells: Sequence[Cell], systems: Sequence[System]
) -> Iterator[tuple[int, Cell, System]]:
    """Each repeat goes through all cells, so that what slows the machine for a while is spread over
    them; in a cell the systems follow each other at once, in each repeat another one first."""
    for repeat, cell in product(range(repeats), cells):
        fitting = [system for system in systems if system_fits(system, cell)]
        first = repeat % max(1, len(fitting))
        for system in (*fitting[first:], *fitting[:first]):
            yield repeat, cell, system


def batch_key(options: argparse.Namespace, cell: Cell, repeat: int, system: System) -> str:
    """All that makes a batch the one it is."""
    names = ["model", "served_name", "phase_tokens", "temperature", "seed", "requests", "seconds"]
    names += ["serve_options"]
    setting = "/".join(str(getattr(options, name)) for name in names)
    return f"{setting}/{cell.name}/{repeat}/{system.name}"


async def warm_up(system: System, cell: Cell, seed: int) -> None:
    """A server that has waited while others were measured is slow at first, its memory cold; one
    request brings it back. What is set up once is paid for then, too. Failures will show again."""
    alone = Cell(cell.prompt_tokens, cell.iterations, 1)
    await batch(system, alone, [next(prompts(cell.prompt_tokens, seed - 1))], 0)


async def one_batch(
    options: argparse.Namespace,
    servers: Mapping[str, Running],
    system: System,
    cell: Cell,
    repeat: int,
) -> Batch:
    due = due_times(cell, options, repeat)
    # Other prompts for each system, though of the same length: what one has warmed up must not
    # serve the next.
    asked = prompts(cell.prompt_tokens, f"{options.seed}/{cell.name}/{repeat}/{system.name}")
    server = servers[system.name]
    before = server.cpu()
    found = await batch(system, cell, list(islice(asked, len(due))), repeat, due)
    spent = server.cpu().since(before)
    found = replace(found, cpu_s=spent.total_s, server_cpu_s=spent.servers_s)
    print(
        f"{cell.name}, {repeat + 1}/{options.repeats}, {system.name}: "
        f"{found.tokens_per_s:.0f} tokens/s, failed {found.failed}",
        file=sys.stderr,
    )
    return found


def system_fits(system: System, cell: Cell) -> bool:
    """optillm has one setting, which is compared with one iteration."""
    return system.name != "optillm" or cell.iterations == 1


def due_times(cell: Cell, options: argparse.Namespace, repeat: int) -> list[float]:
    """Open loop: when each request is due. Closed loop: all at once, as places allow."""
    if cell.rate:
        return arrivals(cell.rate, options.seconds, options.seed + repeat)
    return [0.0] * max(options.requests, cell.concurrency)


async def batch(
    system: System,
    cell: Cell,
    instructions: Sequence[str],
    repeat: int,
    due: Sequence[float] = (0.0,),
) -> Batch:
    """In the closed loop a request is due when a place is free; in the open loop when it arrives,
    however many are still running."""
    timings: list[Timing] = []
    failures: Counter[str] = Counter()
    places = asyncio.Semaphore(cell.concurrency or len(instructions) or 1)
    start = time.perf_counter()

    async def one(instruction: str, after: float) -> None:
        if cell.rate:
            await asyncio.sleep(start + after - time.perf_counter())
        async with places:
            asked_at = start + after if cell.rate else time.perf_counter()
            try:
                timings.append(await system.answer(instruction, cell.iterations, asked_at))
            except CallFailed as error:
                if not failures[error.reason]:
                    print(f"{system.name}: first {error}", file=sys.stderr)
                failures[error.reason] += 1

    async with asyncio.TaskGroup() as tasks:
        for instruction, after in zip(instructions, due, strict=True):
            tasks.create_task(one(instruction, after))
    seconds = time.perf_counter() - start
    return Batch(system.name, cell.name, repeat, seconds, tuple(timings), failures)
