"""Collect lessons: the base model drafts, the critic writes feedback and a refinement.

    redraft train collect --data instructions.jsonl --model model=BASE --critic exact --output DIR
    redraft train collect ... --critic model=NAME url=https://HOST/v1 key_env=API_KEY \\
                          completion_price=30 --max-cost 20

Everything paid for is in DIR/ledger.jsonl at once; run the same command again after any stop.
Writes DIR/collected.jsonl, DIR/failures.jsonl and DIR/collect.json.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from redraft.server import jsonl
from redraft.server.engine.base import Chat, Engine, Prompt, Sampling, Tokens
from redraft.server.options import ConfigError, option
from redraft.train.asking import CallFailed, PaidEngine, Spent
from redraft.train.budget import Budget, CostReached
from redraft.train.critics import Critic, ExactCritic, PromptedCritic, SrtCritic
from redraft.train.data import instructions, tokens
from redraft.train.data.ledger import Entry, Ledger
from redraft.train.data.records import Example, Lesson
from redraft.train.engines import EngineSpec, identity, is_local, opened, spec
from redraft.train.estimate import estimate
from redraft.train.program import read
from redraft.train.progress import bar
from redraft.train.scoring import independent, weighted_kappa

COST_REACHED = 3  # exit status
HOPELESS = 20  # instructions that fail before the first that works: the key or the URL is wrong


@dataclass(frozen=True, slots=True)
class CollectOptions:
    """Drafts of the base model, with a critic's feedback, refinement and scores."""

    data: tuple[str, ...] = option("files (.jsonl, .json, .parquet) or data sets (NAME:SPLIT)")
    output: str = option("folder for the ledger and the lessons")
    model: Mapping[str, Any] = option(
        "who drafts: model=FOLDER, or model=NAME url=URL, ...", shorthand="model"
    )
    critic: Mapping[str, Any] = option(
        "'exact' (workbench), 'self', or an engine like --model", shorthand="model"
    )
    other_critics: tuple[Mapping[str, Any], ...] = option(
        "more critics that only score, to see how far critics agree (in a file)",
        (),
        shorthand="model",
    )
    shape: str = option("shape of the rows: auto, messages, sharegpt, alpaca, prompt", "auto")
    limit: int | None = option("how many instructions to pick; paper: 25000", None)
    skip: int = option("leave out so many of the pick, seen by an earlier stage", 0)
    drafts: int = option("drafts for each instruction, all different samples", 1)
    follow_ups: float = option("share of lessons followed by one with the refinement as draft", 0.0)
    temperature: float = option("of the drafts; paper section 4.1: 0.7", 0.7)
    max_tokens: int = option("of a draft; paper section 4.1: 2048", 2048)
    score: bool = option("score draft and refinement independently", True)
    seed: int = option("picks the instructions and seeds the drafts", 0)
    max_cost: float | None = option("stop before spending more than this", None)
    max_failures: float = option("share of instructions that may fail", 0.05)
    dry_run: bool = option("only say what it would take", False)


@dataclass(slots=True)
class Collected:
    """What became of every draft asked for."""

    lessons: dict[int, list[Lesson]] = field(default_factory=dict)
    failures: list[dict[str, Any]] = field(default_factory=list)
    others: list[tuple[int, tuple[int | None, ...]]] = field(default_factory=list)
    stopped: str | None = None
    cost_reached: bool = False


@dataclass(slots=True)
class Collector:
    """One run."""

    options: CollectOptions
    drafter: PaidEngine
    critic: Critic
    others: Sequence[Critic] = ()
    tokenizer: str = ""
    paid: Sequence[PaidEngine] = ()
    found: Collected = field(default_factory=Collected)

    async def run(self, examples: Sequence[Example]) -> Collected:
        wanted = [(e, n) for e in examples for n in range(self.options.drafts)]
        queue = iter(enumerate(wanted))
        # Twice as many as may ask at once: while some wait for the disk, others ask.
        workers = min(len(wanted), 2 * self.drafter.limits.concurrency)
        with bar(len(wanted), "collect", "lesson") as shown:
            await asyncio.gather(*(self._work(queue, shown) for _ in range(workers)))
        return self.found

    async def _work(self, queue: Iterator[tuple[int, tuple[Example, int]]], shown: Any) -> None:
        for index, (example, number) in queue:
            if self.found.stopped:
                return
            try:
                self.found.lessons[index] = await self._lessons(index, example, number)
            except CostReached as error:
                self.found.stopped, self.found.cost_reached = str(error), True
                return
            except CallFailed as error:
                self._fail(example, error)
            shown.update()
            shown.set_postfix(cost=f"{self.drafter.budget.spent:.2f}", refresh=False)

    def _fail(self, example: Example, error: CallFailed) -> None:
        row = {"id": example.id, "origin": example.origin, "reason": error.reason}
        self.found.failures.append({**row, "detail": str(error)})
        if len(self.found.failures) >= HOPELESS and not self.found.lessons:
            self.found.stopped = f"the first {HOPELESS} instructions all failed: {error}"

    async def _lessons(self, index: int, example: Example, number: int) -> list[Lesson]:
        entry = await self._draft(example, number)
        draft = Lesson(
            messages=example.messages,
            draft=entry.text,
            feedback="",
            refinement="",
            draft_ids=entry.token_ids if self.tokenizer else (),
            tokenizer=self.tokenizer,
            cut="draft" if entry.finish_reason == "length" else "",
            critic=self.critic.name,
            meta=example.meta,
        )
        lesson = await self._taught(index, example, draft)
        if not lesson.refinement or lesson.cut or not self._is_followed(example, number):
            return [lesson]
        followed = replace(draft, draft=lesson.refinement, draft_ids=())
        return [lesson, await self._taught(index, example, followed)]

    def _is_followed(self, example: Example, number: int) -> bool:
        name = f"{self.options.seed}/{example.id}/{number}/follow-up".encode()
        drawn = int.from_bytes(hashlib.sha256(name).digest()[:4], "big") / 2**32
        return drawn < self.options.follow_ups

    async def _taught(self, index: int, example: Example, draft: Lesson) -> Lesson:
        """The draft with what the critic says of it."""
        taught = await self.critic.teach(example, draft.draft)
        cut = draft.cut or "refinement" * taught.cut
        lesson = replace(draft, feedback=taught.feedback, refinement=taught.refinement, cut=cut)
        if not self.options.score or not taught.refinement:
            return lesson
        return await self._scored(index, example, lesson)

    async def _scored(self, index: int, example: Example, lesson: Lesson) -> Lesson:
        scores = await independent(self.critic, example, lesson.draft, lesson.refinement)
        others = [await critic.score(example, lesson.draft) for critic in self.others]
        if others:
            self.found.others.append((index, (scores.draft, *others)))
        return replace(lesson, draft_score=scores.draft, refinement_score=scores.refinement)

    async def _draft(self, example: Example, number: int) -> Entry:
        engine = self.drafter.engine
        prompt: Prompt = Chat(example.messages)
        if engine.has_tokens:
            prompt = Tokens(await engine.encode_chat(example.messages))
        name = f"{self.options.seed}/{example.id}/{number}".encode()
        sampling = Sampling(
            temperature=self.options.temperature,
            max_tokens=self.options.max_tokens,
            seed=int.from_bytes(hashlib.sha256(name).digest()[:4], "big") >> 1,
        )
        return await self.drafter.ask("draft", prompt, sampling)


@asynccontextmanager
async def prepared(options: CollectOptions, ledger: Ledger) -> AsyncIterator[Collector]:
    """A collector with its engines open; one engine when two names mean the same."""
    budget = Budget(options.max_cost, ledger.spent)
    async with AsyncExitStack() as stack:
        engines: dict[EngineSpec, PaidEngine] = {}

        async def paid(wanted: EngineSpec) -> PaidEngine:
            if wanted not in engines:
                engine: Engine = await stack.enter_async_context(opened(wanted))
                engines[wanted] = PaidEngine(
                    engine, ledger, identity(wanted), budget, wanted.price, wanted.limits
                )
            return engines[wanted]

        async def critic(given: Mapping[str, Any]) -> Critic:
            if given.get("model") == "exact":
                return ExactCritic()
            if given.get("model") == "self":
                return SrtCritic(await paid(base), tokens.load(base.model).srt_format())
            return PromptedCritic(await paid(spec(given, "critic")))

        base = spec(options.model, "model")
        drafter = await paid(base)
        known = drafter.engine.has_tokens and is_local(base)
        yield Collector(
            options,
            drafter,
            await critic(options.critic),
            [await critic(given) for given in options.other_critics],
            tokens.load(base.model).fingerprint if known else "",
            tuple(engines.values()),
        )


async def collect(options: CollectOptions, examples: Sequence[Example]) -> int:
    output = Path(options.output)
    ledger = Ledger(output / "ledger.jsonl")
    if ledger.repaired:
        print(f"collect: removed {ledger.repaired} bytes of a line a crash had cut short")
    started = time.monotonic()
    try:
        async with prepared(options, ledger) as collector:
            found = await collector.run(examples)
    finally:
        await ledger.close()
    lessons = [lesson for i in sorted(found.lessons) for lesson in found.lessons[i]]
    jsonl.write(output / "collected.jsonl", (lesson.to_json() for lesson in lessons))
    jsonl.write(output / "failures.jsonl", found.failures)
    summary = _summary(collector, found, time.monotonic() - started)
    jsonl.write_json(output / "collect.json", summary)
    print(_report(summary))
    if found.stopped:
        print(f"collect: stopped: {found.stopped}. Everything paid for is in {ledger.path}.")
        return COST_REACHED if found.cost_reached else 1
    if len(found.failures) > options.max_failures * max(1, len(examples) * options.drafts):
        share = f"more than --max-failures {options.max_failures:g}"
        print(f"collect: {len(found.failures)} instructions failed, {share}; run it again to retry")
        return 1
    return 0


def _summary(collector: Collector, found: Collected, seconds: float) -> dict[str, Any]:
    reasons = Counter(failure["reason"] for failure in found.failures)
    summary: dict[str, Any] = {
        "lessons": sum(map(len, found.lessons.values())),
        "failed": dict(reasons),
        "stopped": found.stopped,
        "spent": _total(collector.paid),
        "cost_in_ledger": round(collector.drafter.ledger.spent, 6),
        "seconds": round(seconds, 1),
    }
    if collector.others:
        summary["agreement"] = _agreement(collector, found)
    return summary


def _total(paid: Sequence[PaidEngine]) -> dict[str, Any]:
    total = Counter[str]()
    for engine in paid:
        total.update(asdict(engine.spent))
    return {name: total[name] for name in asdict(Spent())}


def _agreement(collector: Collector, found: Collected) -> dict[str, Any]:
    """Weighted kappa of each other critic with the first, over drafts both could score."""
    result = {}
    for place, critic in enumerate(collector.others, 1):
        both = [(s[0], s[place]) for _, s in found.others]
        given = [(a, b) for a, b in both if a is not None and b is not None]
        kappa = weighted_kappa([a for a, _ in given], [b for _, b in given])
        result[critic.name] = {"kappa": kappa, "responses": len(given), "of": len(both)}
    return result


def _report(summary: Mapping[str, Any]) -> str:
    spent = summary["spent"]
    failed = ", ".join(f"{n} {reason}" for reason, n in summary["failed"].items()) or "none"
    lines = [
        f"collect: {summary['lessons']} lessons, failed: {failed}, {summary['seconds']:.0f} s",
        f"  {spent['calls']} calls paid, {spent['reused']} from the ledger, "
        f"{spent['retries']} retries, {spent['prompt_tokens']} prompt + "
        f"{spent['completion_tokens']} completion tokens, cost {spent['cost']:.4f}",
    ]
    for name, agreed in summary.get("agreement", {}).items():
        kappa = "undefined" if agreed["kappa"] is None else f"{agreed['kappa']:.3f}"
        lines.append(f"  agreement with {name}: weighted kappa {kappa} on {agreed['responses']}")
    return "\n".join(lines)


def main(argv: Sequence[str]) -> int:
    options = read(CollectOptions, "collect", argv)
    found = instructions.read(
        options.data, options.shape, options.limit, options.skip, options.seed
    )
    print(found.summary())
    if not found.examples:
        raise ConfigError(f"no instructions in {', '.join(options.data)}")
    if options.dry_run:
        print(estimate(options, found.examples))
        return 0
    return asyncio.run(collect(options, found.examples))
