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

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, replace
from itertools import islice, product

from redraft.benchmarks.commands.options import read
from redraft.benchmarks.load.endpoint import CallFailed, Endpoint
from redraft.benchmarks.load.peers import PeerOptions, peers
from redraft.benchmarks.load.systems import SYSTEMS, WITHOUT_ITERATIONS, System
from redraft.benchmarks.load.timing import Batch, Load, LoadCell, Timing
from redraft.benchmarks.load.usage import Running
from redraft.benchmarks.load.workload import arrivals, prompts
from redraft.benchmarks.output.journal import Journal
from redraft.benchmarks.output.latency_report import report
from redraft.server.options import option


@dataclass(frozen=True, kw_only=True)
class LatencyOptions(PeerOptions):
    prompt_tokens: tuple[int, ...] = option("lengths of the prompts", (50, 400, 1500))
    iterations: tuple[int, ...] = option("refinements of an answer", (0, 1, 2, 3))
    concurrency: tuple[int, ...] = option("closed loop: requests under way at once", (1, 8, 32))
    rates: tuple[float, ...] = option("open loop: requests a second", ())
    seconds: float = option("of arrivals at each rate", 20.0)
    slo_answer_s: float = option("goodput: first answer token within", 2.0)
    slo_total_s: float = option("goodput: whole answer within", 10.0)
    requests: int = option("of each system, cell and repeat, at the least", 8, least=1)
    repeats: int = option("of all cells", 3, least=1)
    phase_tokens: int = option("of a phase, its end included", 65, least=1)
    temperature: float = option("of all phases", 1.0)
    timeout_s: float = option("longest wait for an answer", 300.0)
    seed: int = option("of the prompts and arrivals", 0)
    max_failed: float = option("share of requests that may fail", 0.0)

    def cells(self) -> list[LoadCell]:
        each = list(product(self.prompt_tokens, self.iterations))
        closed = [LoadCell(*pair, concurrency=n) for pair in each for n in self.concurrency]
        return closed + [LoadCell(*pair, rate=rate) for pair in each for rate in self.rates]


def main(arguments: Sequence[str]) -> int:
    return run(read(LatencyOptions, "latency", arguments, __doc__))


def run(options: LatencyOptions) -> int:
    cells = options.cells()
    with peers(options) as running:
        batches = asyncio.run(measure(options, running.servers, cells))
    failures: Counter[str] = Counter()
    for each in batches:
        failures.update({f"{each.system}: {why}": n for why, n in each.failures.items()})
    config = {key: value for key, value in asdict(options).items() if key != "url"}
    config |= {"urls": running.urls, "versions": running.versions}
    report(options.out, config, cells, batches, failures, options.slo_answer_s, options.slo_total_s)
    num_asked = sum(len(batch.timings) + batch.failed for batch in batches)
    return 1 if failures.total() > options.max_failed * num_asked else 0


async def measure(
    options: LatencyOptions, servers: Mapping[str, Running], cells: Sequence[LoadCell]
) -> list[Batch]:
    """All batches, including those of an earlier run that was stopped."""
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
            if key not in journal.records:
                await warm_up(system, cell, options.seed - repeat)
                measured = await one_batch(options, servers, system, cell, repeat)
                journal.add(key, measured.json())
            batches.append(Batch.of(journal.records[key]))
    return batches


def turns(
    repeats: int, cells: Sequence[LoadCell], systems: Sequence[System]
) -> Iterator[tuple[int, LoadCell, System]]:
    """The order of batches. Every repeat goes through all cells, which spreads slow phases of the
    machine over them; within a cell another system is first in each repeat."""
    for repeat, cell in product(range(repeats), cells):
        fitting = [s for s in systems if cell.iterations == 1 or s.name not in WITHOUT_ITERATIONS]
        first = repeat % max(1, len(fitting))
        for system in (*fitting[first:], *fitting[:first]):
            yield repeat, cell, system


def batch_key(options: LatencyOptions, cell: LoadCell, repeat: int, system: System) -> str:
    """The journal key of a batch, from everything its timings depend on."""
    names = ["model", "served_name", "phase_tokens", "temperature", "seed", "requests", "seconds"]
    names += ["serve_options"]
    setting = "/".join(str(getattr(options, name)) for name in names)
    return f"{setting}/{cell.name}/{repeat}/{system.name}"


async def warm_up(system: System, cell: LoadCell, seed: int) -> None:
    """Send one request first: a server that was idle has cold caches, and one-time set-up is not
    measured. A failure here shows again in the batch."""
    alone = LoadCell(cell.prompt_tokens, cell.iterations, 1)
    await batch(system, alone, [next(prompts(cell.prompt_tokens, seed - 1))], 0)


async def one_batch(
    options: LatencyOptions,
    servers: Mapping[str, Running],
    system: System,
    cell: LoadCell,
    repeat: int,
) -> Batch:
    due = due_times(cell, options, repeat)
    # Other prompts for each system, though of the same length: what one has warmed up must not
    # serve the next.
    instructions = prompts(cell.prompt_tokens, f"{options.seed}/{cell.name}/{repeat}/{system.name}")
    server = servers[system.name]
    before = server.cpu()
    timed = await batch(system, cell, list(islice(instructions, len(due))), repeat, due)
    spent = server.cpu().since(before)
    timed = replace(timed, cpu_s=spent.total_s, server_cpu_s=spent.servers_s)
    print(
        f"{cell.name}, {repeat + 1}/{options.repeats}, {system.name}: "
        f"{timed.tokens_per_s:.0f} tokens/s, failed {timed.failed}",
        file=sys.stderr,
    )
    return timed


def due_times(cell: LoadCell, options: LatencyOptions, repeat: int) -> list[float]:
    """When each request is due: by arrival in the open loop, at once in the closed loop."""
    if cell.rate:
        return arrivals(cell.rate, options.seconds, options.seed + repeat)
    return [0.0] * max(options.requests, cell.concurrency)


async def batch(
    system: System,
    cell: LoadCell,
    instructions: Sequence[str],
    repeat: int,
    due: Sequence[float] = (0.0,),
) -> Batch:
    """Closed loop: a request is due when a slot is free. Open loop: when it arrives, however many
    requests are still running."""
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
