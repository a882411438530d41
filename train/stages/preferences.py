"""Pairs for stage two: the tuned model's own drafts against its own refinements.

    redraft train preferences --data instructions.jsonl --model model=DIR/stage1 --output DIR/pairs
    redraft train preferences --traces TRACES --critic exact --output DIR/pairs

The first runs the loop; the second reads what the server stored (``redraft serve --traces``), or
responses of /v1/refine. With --drafter the drafts are another model's: the base's, where the tuned
adapter never learnt to draft. A pair is kept when the refinement's independent score is strictly
higher (paper section 3.2). Writes DIR/pairs.jsonl and the audit DIR/preferences.json.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redraft.server import jsonl
from redraft.server.engine.base import Engine
from redraft.server.options import ConfigError, option
from redraft.server.refine.adapters import NO_ADAPTERS, PhaseAdapters
from redraft.server.refine.trace import Trace
from redraft.train.checkpoints import adapter_base
from redraft.train.checks_critic import ChecksScorer
from redraft.train.critics import Scorer, critic_of, independent
from redraft.train.data import instructions, tokens
from redraft.train.data.audit import audit, report
from redraft.train.data.ledger import Ledger
from redraft.train.data.records import Example, Lesson, PreferencePair, read_lessons, read_traces
from redraft.train.engines import EngineSpec, identity, is_local, opened, spec
from redraft.train.paid_engine import Budget, CostReached, PaidCallFailed, PaidEngines
from redraft.train.program import read
from redraft.train.self_feedback import LoopSettings, SelfFeedback
from redraft.train.writers import DRAFTS_ELSEWHERE, Writers


@dataclass(frozen=True, slots=True)
class PreferencesOptions:
    """Pairs of the tuned model's drafts and refinements, and their audit."""

    output: str = option("folder for pairs.jsonl and the audit")
    data: tuple[str, ...] = option("instructions, as collect takes them", ())
    model: Mapping[str, Any] = option("the tuned model, as collect takes it", {}, shorthand="model")
    drafter: Mapping[str, Any] = option(
        "who drafts, with the same tokens; none: the model", {}, shorthand="model"
    )
    tokenizer: str | None = option("folder of its tokenizer, when the model is behind a url", None)
    traces: tuple[str, ...] = option("files or folders of the server's traces, instead", ())
    lessons: tuple[str, ...] = option("kept.jsonl: the critic's refinements as well", ())
    critic: Mapping[str, Any] = option(
        "who scores: the model itself unless given; 'exact', 'checks', or an engine",
        {},
        shorthand="model",
    )
    shape: str = option(instructions.SHAPE_HELP, "auto")
    limit: int | None = option("how many instructions to pick; paper: 75000", None)
    skip: int = option("leave out so many of the pick, those of stage one", 0)
    iterations: int = option("refinements of each draft", 1)
    temperature: float = option("of the drafts; paper section 4.1: 0.7", 0.7)
    max_tokens: int = option("of each phase; paper section 4.1: 2048", 2048)
    min_margin: int = option("least by which the refinement scores higher", 1)
    max_length_ratio: float | None = option(
        "stop when chosen is on average longer than rejected by more than this", None
    )
    max_failures: float = option("share of instructions that may fail", 0.05)
    seed: int = option("picks the instructions and seeds the drafts", 0)
    max_cost: float | None = option("most the critic may cost", None)


def pair_of(
    trace: Trace, scores: Sequence[int | None], min_margin: int, tokenizer: str
) -> PreferencePair | str:
    """The pair a trace holds, or why it holds none."""
    if trace.stop_reason == "malformed_feedback":
        return "malformed feedback"
    if len(trace.responses) < 2:
        return "no refinement"
    draft, refinements = trace.draft, trace.responses[1:]
    if scores[0] is None or all(score is None for score in scores[1:]):
        return "not scored"
    best, score = max(
        ((r, s) for r, s in zip(refinements, scores[1:], strict=True) if s is not None),
        key=lambda scored: scored[1],
    )
    if "length" in (draft.finish_reason, best.finish_reason):
        return "cut at its token limit"
    if not best.text.strip() or not draft.text.strip():
        return "empty"
    if best.text.strip() == draft.text.strip():
        return "refinement repeats its draft"
    if score - scores[0] < min_margin:
        return "refinement not scored above its draft"
    return PreferencePair(
        trace.instruction.messages,
        best.text,
        draft.text,
        score,
        scores[0],
        best.token_ids if tokenizer else (),
        draft.token_ids if tokenizer else (),
        tokenizer,
    )


def pair_of_lesson(lesson: Lesson, min_margin: int) -> PreferencePair | str:
    """A critic's refinement against the draft it improved: for models whose own refinements are
    still no better than their drafts."""
    if lesson.draft_score is None or lesson.refinement_score is None:
        return "not scored"
    if lesson.refinement_score - lesson.draft_score < min_margin:
        return "refinement not scored above its draft"
    return PreferencePair(
        lesson.messages,
        lesson.refinement,
        lesson.draft,
        lesson.refinement_score,
        lesson.draft_score,
        rejected_ids=lesson.draft_ids,
        tokenizer=lesson.tokenizer,
        meta=lesson.meta,
    )


async def _traces(
    options: PreferencesOptions, examples: Sequence[Example], ledger: Ledger
) -> tuple[list[Trace], str, int]:
    """The traces, the tokenizer of their ids, and how many instructions failed."""
    if not options.data:
        traces = [trace for source in options.traces for trace in read_traces(Path(source))]
        return traces, "", 0
    model = spec(options.model, "model")
    folder = options.tokenizer or (model.model if is_local(model) else None)
    tokenizer = tokens.load(folder) if folder else None
    setting = LoopSettings(
        options.iterations,
        options.temperature,
        options.max_tokens,
        options.seed,
        scored_last=not options.critic,  # which scores for itself
    )
    async with _writers(options, model) as (engine, adapters, name):
        run = SelfFeedback(
            engine,
            name,
            tokenizer.srt_format() if tokenizer and engine.has_tokens else None,
            setting,
            ledger,
            model.max_concurrency,
            adapters,
        )
        done = await run.run(examples)
    print(f"preferences: {len(done)} traces, {run.reused} from the ledger")
    for failure in run.failures[:5]:
        print(f"  failed: {failure['reason']}")
    return done, tokenizer.fingerprint if tokenizer else "", len(run.failures)


@asynccontextmanager
async def _writers(
    options: PreferencesOptions, model: EngineSpec
) -> AsyncIterator[tuple[Engine, PhaseAdapters, str]]:
    """The engine, who writes which phase, and the identity of the weights."""
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(opened(model, model.retries))
        if not options.drafter:
            yield engine, NO_ADAPTERS, identity(model)
            return
        source = spec(options.drafter, "drafter")
        name = f"{identity(model)}, drafts of {identity(source)}"
        if not (isinstance(engine, Writers) and adapter_base(model.model) == source.model):
            drafter = await stack.enter_async_context(opened(source, source.retries))
            engine = Writers(engine, drafter)
        yield engine, DRAFTS_ELSEWHERE, name


def _examples(options: PreferencesOptions) -> Sequence[Example]:
    """The instructions that the model is to answer."""
    if not options.data:
        return ()
    data = instructions.read(options.data, options.shape, options.limit, options.skip, options.seed)
    print(data.summary())
    return data.examples


async def _pair(
    options: PreferencesOptions,
    asked: Sequence[Example],
    done: Sequence[Trace],
    tokenizer: str,
    ledger: Ledger,
) -> list[PreferencePair | str]:
    """The pairs, and for every trace or lesson that gave none the reason."""
    examples = {example.messages: example for example in asked}
    async with PaidEngines(ledger, Budget(options.max_cost)) as engines:
        critic = await _scorer(options.critic, engines) if options.critic else None

        async def scored(trace: Trace) -> Sequence[int | None]:
            if critic is None:
                return trace.scores
            texts = [response.text for response in trace.responses]
            try:
                chat = trace.instruction.messages
                return await independent(critic, examples.get(chat, Example(chat)), texts)
            except (PaidCallFailed, CostReached):
                return [None] * len(texts)

        scores = await asyncio.gather(*(scored(trace) for trace in done))
    results = [
        pair_of(trace, trace_scores, options.min_margin, tokenizer)
        for trace, trace_scores in zip(done, scores, strict=True)
    ]
    for file in options.lessons:
        results += [pair_of_lesson(le, options.min_margin) for le in read_lessons(Path(file))]
    return results


async def _scorer(named: Mapping[str, Any], engines: PaidEngines) -> Scorer:
    return ChecksScorer() if named.get("model") == "checks" else await critic_of(named, engines)


async def prefer(options: PreferencesOptions) -> int:
    output = Path(options.output)
    started = time.monotonic()
    asked = _examples(options)
    ledger = Ledger(output / "ledger.jsonl")
    try:
        done, tokenizer, failed = await _traces(options, asked, ledger)
        results = await _pair(options, asked, done, tokenizer, ledger)
    finally:
        await ledger.close()
    pairs = [result for result in results if isinstance(result, PreferencePair)]
    reasons = Counter(result for result in results if isinstance(result, str))
    jsonl.write(output / "pairs.jsonl", (pair.to_json() for pair in pairs))
    summary = {
        "pairs": len(pairs),
        "rejected": dict(reasons.most_common()),
        "failed": failed,
        "completion_tokens": sum(e.completion_tokens for e in ledger.entries.values()),
        "cost": round(ledger.spent, 6),
        "seconds": round(time.monotonic() - started, 1),
        "audit": audit(pairs),
    }
    jsonl.write_json(output / "preferences.json", summary)
    print(_summary_text(summary))
    if problem := _problem(options, summary, len(done)):
        print(f"preferences: {problem}")
        return 1
    return 0


def _summary_text(summary: Mapping[str, Any]) -> str:
    lines = [
        f"preferences: {summary['pairs']} pairs, {summary['completion_tokens']} completion tokens "
        f"and cost {summary['cost']:.4f} in the ledger, {summary['seconds']:.0f} s"
    ]
    rejected = {**summary["rejected"], "failed": summary["failed"]}
    lines += [f"  {count:>8}  {reason}" for reason, count in rejected.items() if count]
    return "\n".join([*lines, *([report(summary["audit"])] if summary["pairs"] else [])])


def _problem(options: PreferencesOptions, summary: Mapping[str, Any], traced: int) -> str | None:
    """Why stage two should not go on with these pairs."""
    if summary["failed"] > options.max_failures * (traced + summary["failed"]):
        return f"more than --max-failures {options.max_failures:g} failed; run it again to retry"
    if not summary["pairs"]:
        return "no pairs: no refinement scores above its draft"
    ratio = summary["audit"]["length_ratio"]
    if options.max_length_ratio is not None and ratio > options.max_length_ratio:
        return (
            f"chosen responses are {ratio:.2f} times as long as rejected ones, over "
            f"--max-length-ratio {options.max_length_ratio:g}: DPO would learn to be verbose"
        )
    return None


def main(argv: Sequence[str]) -> int:
    options = read(PreferencesOptions, "preferences", argv)
    if not (options.data or options.traces or options.lessons):
        raise ConfigError("preferences needs --data with --model, or --traces, or --lessons")
    if options.data and options.traces:
        raise ConfigError("--data and --traces are two runs: the ids of one are not the other's")
    if options.traces and options.critic.get("model") == "checks":
        raise ConfigError("--critic checks needs --data: traces do not say what was to be checked")
    return asyncio.run(prefer(options))
