"""Collect lessons: the base model drafts, the critic writes feedback and a refinement.

    redraft train collect --data instructions.jsonl --model model=BASE --critic exact --output DIR
    redraft train collect ... --critic model=NAME url=https://HOST/v1 key_env=API_KEY \\
                          completion_price=30 --max-cost 20

Everything paid for is in DIR/ledger.jsonl at once; run the same command again after any stop.
Writes DIR/collected.jsonl, DIR/failures.jsonl and DIR/collect.json.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from redraft.server import jsonl
from redraft.server.engine.base import Chat
from redraft.train.checks_critic import ChecksCritic
from redraft.train.collector import CollectOptions, Collector
from redraft.train.critics import LessonCritic, SrtCritic, critic_of
from redraft.train.data import instructions, tokens
from redraft.train.data.ledger import Ledger
from redraft.train.data.records import Example
from redraft.train.engines import EngineSpec, is_local, spec
from redraft.train.estimate import estimate
from redraft.train.paid_engine import Budget, PaidEngines, prompt_tokens
from redraft.train.program import read

if TYPE_CHECKING:
    from redraft.train.surprise import Surprise  # needs torch

COST_REACHED = 3  # exit status


async def prepared(options: CollectOptions, engines: PaidEngines) -> Collector:
    """A collector with its engines open."""
    base = spec(options.model, "model")
    drafter = await engines.get(base)

    async def critic(named: Mapping[str, Any]) -> LessonCritic:
        if named.get("model") == "self":
            return SrtCritic(drafter, tokens.load(base.model).srt_format())
        if named.get("model") == "checks":
            return ChecksCritic(drafter, options.samples, _surprise(base), options.quotes)
        return await critic_of(named, engines)

    has_ids = drafter.engine.has_tokens and is_local(base)
    return Collector(
        options,
        drafter,
        await critic(options.critic),
        [await critic(named) for named in options.other_critics],
        tokens.load(base.model).fingerprint if has_ids else "",
    )


def _surprise(base: EngineSpec) -> Surprise | None:
    """Reads with the base model's weights, where they are here."""
    if not is_local(base):
        return None
    from redraft.train.surprise import Surprise

    return Surprise.load(Path(base.model))


async def collect(options: CollectOptions, examples: Sequence[Example]) -> int:
    output = Path(options.output)
    ledger = Ledger(output / "ledger.jsonl")
    if ledger.repaired:
        print(f"collect: removed {ledger.repaired} bytes of a line a crash had cut short")
    started = time.monotonic()
    try:
        async with PaidEngines(ledger, Budget(options.max_cost, ledger.spent)) as engines:
            collector = await prepared(options, engines)
            await collector.run(examples)
    finally:
        await ledger.close()
    lessons = [lesson for i in sorted(collector.lessons) for lesson in collector.lessons[i]]
    jsonl.write(output / "collected.jsonl", (lesson.to_json() for lesson in lessons))
    jsonl.write(output / "failures.jsonl", collector.failures)
    summary = collector.summary(time.monotonic() - started)
    jsonl.write_json(output / "collect.json", summary)
    print(_report(summary))
    if collector.stopped:
        print(f"collect: stopped: {collector.stopped}. Everything paid for is in {ledger.path}.")
        return COST_REACHED if collector.cost_reached else 1
    failed = len(collector.failures)
    if failed > options.max_failures * max(1, len(examples) * options.drafts):
        share = f"more than --max-failures {options.max_failures:g}"
        print(f"collect: {failed} instructions failed, {share}; run it again to retry")
        return 1
    return 0


def _report(summary: Mapping[str, Any]) -> str:
    spent = summary["spent"]
    failed = ", ".join(f"{n} {reason}" for reason, n in summary["failed"].items()) or "none"
    lines = [
        f"collect: {summary['lessons']} lessons, failed: {failed}, {summary['seconds']:.0f} s",
        f"  {spent['calls']} calls paid, {spent['reused']} from the ledger, "
        f"{spent['retries']} retries, {spent['prompt_tokens']} prompt + "
        f"{spent['completion_tokens']} completion tokens, cost {spent['cost']:.4f}",
    ]
    if summary["left_out"]:
        lines.append(f"  {summary['left_out']} not begun within --max-seconds")
    for way, count in summary.get("ways", {}).items():
        lines.append(f"  {count:>8} {way}")
    for name, agreed in summary.get("agreement", {}).items():
        kappa = "undefined" if agreed["kappa"] is None else f"{agreed['kappa']:.3f}"
        lines.append(f"  agreement with {name}: weighted kappa {kappa} on {agreed['responses']}")
    return "\n".join(lines)


def main(argv: Sequence[str]) -> int:
    options = read(CollectOptions, "collect", argv)
    source = instructions.read(
        options.data, options.shape, options.limit, options.skip, options.seed
    )
    print(source.summary())
    if options.dry_run:
        instruction_tokens = sum(prompt_tokens(Chat(e.messages)) for e in source.examples)
        print(estimate(options, len(source.examples), instruction_tokens))
        return 0
    return asyncio.run(collect(options, source.examples))
