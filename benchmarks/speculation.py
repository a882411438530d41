"""Refinements guessed from their drafts: how much sooner they are written, and whether alike.

    redraft bench speculation
    redraft bench speculation --kept 0.8 --concurrency 1 8 32 --hidden 768 --layers 12

Starts two servers that differ in ``--speculate`` alone, has them write the same refinements of the
same drafts, greedily, and compares tokens per second, processor time per token, and every text. The
model is one of ``redraft bench phased-model``: for each share of ``--kept`` its refinements repeat
as much of their drafts; 0 is what guessing must not slow down. The servers take turns within every
repeat, and ratios are formed repeat by repeat, so that a slow minute favours nobody.
"""

from __future__ import annotations

import asyncio
import difflib
import re
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from redraft.benchmarks import phased_model
from redraft.benchmarks.commands.options import read
from redraft.benchmarks.load import servers
from redraft.benchmarks.load.endpoint import Endpoint, Session
from redraft.benchmarks.load.pool import work_through
from redraft.benchmarks.load.timing import ratio
from redraft.benchmarks.load.usage import Running
from redraft.benchmarks.load.workload import prompts
from redraft.benchmarks.output.plots import bars
from redraft.benchmarks.output.results import Cell, Result, Table, publish
from redraft.benchmarks.stats.intervals import MEDIANS, Interval, median_interval
from redraft.server.options import option

SYSTEMS: dict[str, tuple[str, ...]] = {"plain": (), "speculating": ("--speculate", "draft")}
FEEDBACK = "Weaknesses: some words. Suggestions: other words. Overall Score: [[5]]"
GUESSED = re.compile(r"^vllm:spec_decode_num_(draft|accepted)_tokens_total\{.*\} (\S+)$", re.M)


@dataclass(frozen=True, slots=True)
class RefinementBatch:
    """The refinements of one server in one repeat."""

    kept: float
    concurrency: int
    repeat: int
    system: str
    seconds: float
    cpu_s: float
    tokens: int
    guessed: float
    accepted: float

    @property
    def tokens_per_s(self) -> float:
        return self.tokens / self.seconds

    @property
    def tokens_per_cpu_s(self) -> float:
        return self.tokens / self.cpu_s


@dataclass(frozen=True, slots=True)
class AskedServer:
    running: Running
    session: Session

    def guesses(self) -> tuple[float, float]:
        """Tokens guessed and accepted so far."""
        url = f"{self.running.url.removesuffix('/v1')}/metrics"
        with urllib.request.urlopen(url, timeout=30) as reply:
            counts = dict(GUESSED.findall(reply.read().decode()))
        return float(counts.get("draft", 0)), float(counts.get("accepted", 0))  # none: no guesses


@dataclass(frozen=True, slots=True)
class Measurement:
    batches: list[RefinementBatch]
    failures: Counter[str]
    repeated: dict[float, float]  # the share of their drafts that refinements did repeat


@dataclass(frozen=True, kw_only=True)
class SpeculationOptions:
    kept: tuple[float, ...] = option("shares of a draft that its refinement repeats", (0.8, 0.0))
    concurrency: tuple[int, ...] = option("requests under way at once", (1, 8, 32))
    requests: int = option("of each batch, at the least", 4, least=1)
    repeats: int = option("of each batch, after one that warms up", 7, least=1)
    hidden: int = option("size of the model's hidden states", 512)
    layers: int = option("number of its layers", 8)
    heads: int = option("attention heads of a layer", 8)
    phase_tokens: int = option("of each phase, its end not counted", 100)
    prompt_tokens: int = option("length of the prompts", 100)
    kv_cache_mib: int = option("of vLLM's cache", 1024)
    max_model_len: int = option("vLLM's longest sequence", 1024)
    timeout_s: float = option("longest wait for an answer", 600.0)
    seed: int = option("of the model and the prompts", 0)
    out: Path = option("folder for the results", Path("runs/speculation"))


def main(arguments: Sequence[str]) -> int:
    return run(read(SpeculationOptions, "speculation", arguments, __doc__))


def run(options: SpeculationOptions) -> int:
    measured = Measurement([], Counter(), {})
    for kept in options.kept:
        asyncio.run(measure(options, kept, measured))
    _report(options, measured)
    return 1 if measured.failures else 0


async def measure(options: SpeculationOptions, kept: float, measured: Measurement) -> None:
    """All batches of one model, on servers started for it."""
    size = phased_model.PhasedShape(
        hidden=options.hidden,
        layers=options.layers,
        heads=options.heads,
        phase_tokens=options.phase_tokens,
        kept=kept,
    )
    model = phased_model.build(options.out / f"model-{kept:g}", size, options.seed)
    settings = servers.EngineSettings(options.kv_cache_mib, options.max_model_len)
    by_name = {}
    async with AsyncExitStack() as stack:
        for name, more in SYSTEMS.items():
            logs = options.out / "logs" / name
            server = stack.enter_context(servers.redraft(model, settings, logs, more))
            endpoint = Endpoint(server.url, "model", timeout_s=options.timeout_s)
            session = await stack.enter_async_context(endpoint.session())
            by_name[name] = AskedServer(server, session)
        await _compare(options, kept, by_name, measured)


async def _compare(
    options: SpeculationOptions,
    kept: float,
    servers: Mapping[str, AskedServer],
    measured: Measurement,
) -> None:
    most = max(options.requests, *options.concurrency)
    drafts = await _drafted(options, most, servers, measured.failures)
    texts: dict[str, str] = {}
    for concurrency in options.concurrency:
        part = drafts[: max(options.requests, concurrency)]
        for repeat in range(-1, options.repeats):  # the first warms up
            for name in sorted(servers, reverse=bool(repeat % 2)):
                batch, refinements = await _batch(
                    servers[name], part, (kept, concurrency, repeat, name), measured.failures
                )
                for draft, text in refinements.items():
                    if texts.setdefault(draft, text) != text:
                        measured.failures["another text"] += 1
                if repeat >= 0:
                    measured.batches.append(batch)
                    print(
                        f"kept {kept:g}, x{concurrency}, {repeat + 1}/{options.repeats}, {name}: "
                        f"{batch.tokens_per_s:.0f} tokens/s",
                        file=sys.stderr,
                    )
    shares = [repeated(draft, text) for draft, text in texts.items()]
    measured.repeated[kept] = sum(shares) / max(1, len(shares))


async def _drafted(
    options: SpeculationOptions,
    count: int,
    servers: Mapping[str, AskedServer],
    failures: Counter[str],
) -> list[tuple[str, str]]:
    """Instructions with drafts of the model, written by every server so that their caches hold the
    same."""
    drafts: dict[str, str] = {}

    async def draft(numbered: tuple[int, str]) -> None:
        number, instruction = numbered
        body = {
            "model": "model:direct",
            "messages": [{"role": "user", "content": instruction}],
            "temperature": 1.0,
            "seed": number,
            "max_tokens": options.phase_tokens + 1,
        }
        for server in servers.values():
            reply = await server.session.post("chat/completions", body)
            drafts.setdefault(instruction, reply["choices"][0]["message"]["content"])

    instructions = list(enumerate(islice(prompts(options.prompt_tokens, options.seed), count)))
    failures += await work_through(instructions, draft, 8, "drafts")
    return list(drafts.items())


async def _batch(
    server: AskedServer,
    drafts: Sequence[tuple[str, str]],
    which: tuple[float, int, int, str],
    failures: Counter[str],
) -> tuple[RefinementBatch, dict[str, str]]:
    tokens = 0
    refinements: dict[str, str] = {}

    async def refine(drafted: tuple[str, str]) -> None:
        nonlocal tokens
        instruction, draft = drafted
        body: dict[str, Any] = {
            "prompt": instruction,
            "response": draft,
            "feedback": FEEDBACK,
            "max_iterations": 1,
            "keep": "last",
        }
        reply = await server.session.post("refine", body)
        tokens += reply["usage"]["phases"]["refinement"]["completion_tokens"]
        refinements[draft] = reply["answer"]

    guessed, accepted = server.guesses()
    spent, began = server.running.cpu().total_s, time.perf_counter()
    failures += await work_through(drafts, refine, which[1], "refinements")
    seconds = time.perf_counter() - began
    cpu = max(0.01, server.running.cpu().total_s - spent)  # counted in ticks of 10 ms
    now_guessed, now_accepted = server.guesses()
    counts = (tokens, now_guessed - guessed, now_accepted - accepted)
    return RefinementBatch(*which, seconds, cpu, *counts), refinements


def repeated(draft: str, refinement: str) -> float:
    """The share of the draft's words that the refinement has in the same order."""
    ours, theirs = draft.split(), refinement.split()
    blocks = difflib.SequenceMatcher(None, ours, theirs, autojunk=False).get_matching_blocks()
    return sum(block.size for block in blocks) / max(1, len(ours))


def _report(options: SpeculationOptions, measured: Measurement) -> None:
    figures: dict[str, dict[str, Any]] = {}
    for kept in options.kept:
        for concurrency in options.concurrency:
            cell = [b for b in measured.batches if (b.kept, b.concurrency) == (kept, concurrency)]
            name = f"kept {measured.repeated[kept]:.2f}, x{concurrency}"
            figures[name] = _figures(cell)
    columns = ("draft kept, streams", "tokens/s plain", "tokens/s speculating", "ratio")
    more = ("ratio by processor time", "guessed per token", "of these accepted")
    note = f"Refinement phase alone, greedy; over repeats. {MEDIANS}"
    rows: list[tuple[Cell, ...]] = []
    for name, of_cell in figures.items():
        plain, ours, clock, cpu, guessed, accepted = of_cell.values()
        rows.append((name, plain, ours, clock.shown(2), cpu.shown(2), guessed, accepted))
    ratios: dict[str, Interval] = {name: of_cell["ratio"] for name, of_cell in figures.items()}
    result = Result(
        "speculation",
        "Refinements written with guesses from their drafts, against the same without.",
        asdict(options),
        figures,
        measured.failures,
        (Table("Speculating from the draft", columns + more, tuple(rows), note),),
        (bars(options.out / "speculation.svg", ratios, "tokens/s, speculating / plain", 1.0),),
        [asdict(batch) for batch in measured.batches],
    )
    publish(result, options.out)


def _figures(cell: Sequence[RefinementBatch]) -> dict[str, Any]:
    """The figures of one model and one concurrency."""
    plain, ours = ([batch for batch in cell if batch.system == name] for name in SYSTEMS)
    tokens = sum(batch.tokens for batch in ours)
    guessed, accepted = sum(b.guessed for b in ours), sum(b.accepted for b in ours)
    return {
        "plain_tokens_per_s": median_interval([b.tokens_per_s for b in plain]),
        "speculating_tokens_per_s": median_interval([b.tokens_per_s for b in ours]),
        "ratio": ratio([b.tokens_per_s for b in ours], [b.tokens_per_s for b in plain]),
        "cpu_ratio": ratio([b.tokens_per_cpu_s for b in ours], [b.tokens_per_cpu_s for b in plain]),
        "guessed_per_token": guessed / tokens if tokens else None,
        "accepted_share": accepted / guessed if guessed else None,
    }
