"""Have a judge compare a system's answers with the reference's, and give the win rate."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from redraft.benchmarks.commands.errors import MeasurementFailed
from redraft.benchmarks.commands.options import ServerOptions, read
from redraft.benchmarks.grading.judge import JudgePolicy
from redraft.benchmarks.winrates.alpaca import SystemAnswer, read_answers
from redraft.benchmarks.winrates.annotating import annotate
from redraft.benchmarks.winrates.annotation_files import AnnotationSet
from redraft.benchmarks.winrates.rate_table import RateOptions, report
from redraft.server.jsonl import FileError
from redraft.server.options import option


@dataclass(frozen=True, kw_only=True)
class JudgeOptions(RateOptions, ServerOptions):
    reference: Path = option("answers.json of a system")
    answers: Path | None = option("none: answers.json under --out", None)
    limit: int | None = option("only so many instructions", None, least=1)
    both_orders: bool = option("ask twice, take the mean", False)
    top_logprobs: int = option("of the judge's first token", 5, least=2)
    least_mass: float = option("of the two verdicts; with less the judge says something else", 0.5)


def main(arguments: Sequence[str]) -> int:
    options = read(JudgeOptions, "winrate judge", arguments, __doc__)
    policy = JudgePolicy(
        options.seed, options.both_orders, options.top_logprobs, options.least_mass
    )
    references = _distinct(options.reference)[: options.limit]
    answers = _distinct(options.answers or options.out / "answers.json")
    if options.limit:
        kept = {reference.instruction for reference in references}
        answers = [answer for answer in answers if answer.instruction in kept]
    verdicts = options.out / "verdicts.jsonl"
    endpoint = options.endpoint(options.url, options.model)
    work = annotate(references, answers, endpoint, policy, verdicts, options.concurrency)
    annotations, failures = asyncio.run(work)
    if sum(a.preference is not None for a in annotations) < 2:
        raise MeasurementFailed(f"nothing was judged: {dict(failures)}")
    report(options, {options.out.name: AnnotationSet(annotations)}, failures)
    allowed = options.max_unjudged * len(annotations)
    if failures.total() > allowed:
        print(f"{failures.total()} are unjudged; the limit is {allowed:g}", file=sys.stderr)
        return 1
    return 0


def _distinct(path: Path) -> list[SystemAnswer]:
    """The answers of a file, one to each instruction; copies are told and left out."""
    answers = read_answers(path)
    distinct: dict[str, SystemAnswer] = {}
    for number, answer in enumerate(answers, 1):
        if distinct.setdefault(answer.instruction, answer).output != answer.output:
            raise FileError(
                f"{path}, row {number} is a second, different answer to an instruction: "
                f"{answer.instruction[:80]!r}; keep one"
            )
    if copies := len(answers) - len(distinct):
        print(f"{path}: {copies} rows are copies of others and count once", file=sys.stderr)
    return list(distinct.values())
