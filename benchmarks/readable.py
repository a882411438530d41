"""How often a model's feedback can be read, and what it leads to, through /v1/refine.

    redraft bench readable --instructions FILE --url URL --model NAME --count 200

A line of the file is {"prompt": "..."}, and may have a "response" to judge in place of a draft of
the model's own. Drafts are greedy. Feedback that cannot be read is asked for once more; where that
cannot be read either, nothing is refined and the answer is the draft.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from redraft.benchmarks.commands.errors import MeasurementFailed
from redraft.benchmarks.commands.options import ServerOptions, read
from redraft.benchmarks.load.endpoint import Session
from redraft.benchmarks.load.recorded import key_of, record_all
from redraft.benchmarks.output.journal import Record
from redraft.benchmarks.output.results import Result, Table, publish
from redraft.benchmarks.stats.intervals import Interval, wilson
from redraft.server import jsonl
from redraft.server.options import option


@dataclass(frozen=True, kw_only=True)
class ReadableOptions(ServerOptions):
    instructions: Path = option("file of prompts, one JSON object a line")
    count: int = option("only so many, from the start", 200, least=1)
    draft_tokens: int = option("most tokens of a draft", 400, least=1)
    feedback_tokens: int = option("most tokens of feedback", 512, least=1)
    refinement_tokens: int = option("most tokens of a refinement", 400, least=1)
    max_failed: float = option("share of calls that may fail", 0.01)
    out: Path = option("folder for the results", Path("runs/readable"))


@dataclass(frozen=True, slots=True)
class Course:
    """What became of one instruction."""

    readable: bool
    attempts: int  # at feedback
    unreadable_attempts: int
    feedback_tokens: int  # of all attempts
    refined: bool  # the answer is the refinement, and is not the draft again
    score: int | None

    @classmethod
    def of(cls, reply: dict[str, Any]) -> Course:
        trace = reply["trace"]
        spent = reply["usage"]["phases"].get("feedback", {})
        return cls(
            readable=bool(trace["iterations"]),
            attempts=spent.get("calls", 0),
            unreadable_attempts=trace["malformed"],
            feedback_tokens=spent.get("completion_tokens", 0),
            refined=reply["kept"] > 0 and reply["stop_reason"] != "no_change",
            score=reply["scores"][0] if reply["scores"] else None,
        )


def main(arguments: Sequence[str]) -> int:
    options = read(ReadableOptions, "readable", arguments, __doc__)
    bodies = [_body(line, options) for line in jsonl.lines(options.instructions)]
    courses, failures = asyncio.run(ask_all(bodies[: options.count], options))
    if not courses:
        raise MeasurementFailed(f"no instruction was answered: {dict(failures)}")
    _report(options, courses, failures)
    return 1 if failures.total() > options.max_failed * len(bodies[: options.count]) else 0


def _body(line: jsonl.Line, options: ReadableOptions) -> dict[str, Any]:
    row = line.row()
    if not isinstance(row.get("prompt"), str):
        raise line.error('"prompt"')
    draft = {"draft": {"temperature": 0, "max_tokens": options.draft_tokens}}
    return {
        "model": options.model,
        "prompt": row["prompt"],
        **({"response": row["response"]} if row.get("response") else draft),
        "max_iterations": 1,
        "keep": "last",
        "feedback_sampling": {"max_tokens": options.feedback_tokens},
        "refinement": {"max_tokens": options.refinement_tokens},
    }


async def ask_all(
    bodies: Sequence[dict[str, Any]], options: ReadableOptions
) -> tuple[list[Course], Counter[str]]:
    async def ask(session: Session, body: dict[str, Any]) -> Record:
        return asdict(Course.of(await session.post("refine", body)))

    records, failures = await record_all(
        {key_of(json.dumps(body)): body for body in bodies},
        ask,
        options.endpoint(options.url, options.model),
        options.out / "courses.jsonl",
        options.concurrency,
        "feedback",
    )
    return [_course(record) for record in records.values()], failures


def _course(record: Record) -> Course:
    return Course(**{name: record[name] for name in Course.__dataclass_fields__})


def figures_of(courses: Sequence[Course]) -> dict[str, Interval | float]:
    """Shares in percent."""
    attempts = sum(course.attempts for course in courses)
    unreadable = sum(not course.readable for course in courses)
    rejected = sum(course.unreadable_attempts for course in courses)
    return {
        "unreadable": wilson(unreadable, len(courses)).scaled(100),
        "unreadable_attempts": wilson(rejected, attempts).scaled(100),
        "refined": wilson(sum(course.refined for course in courses), len(courses)).scaled(100),
        "feedback_tokens": fmean(course.feedback_tokens for course in courses),
    }


def _report(options: ReadableOptions, courses: Sequence[Course], failures: Counter[str]) -> None:
    figures = figures_of(courses)
    columns = ("instructions", "unreadable %", "of attempts %", "refined %", "tokens of feedback")
    row = (
        len(courses),
        figures["unreadable"],
        figures["unreadable_attempts"],
        figures["refined"],
        figures["feedback_tokens"],
    )
    note = "95% Wilson intervals. Tokens are of all attempts at one instruction."
    table = Table(f"Feedback that can be read, {options.model}", columns, (row,), note)
    about = "How often a model's feedback can be read, and the answer is a refinement."
    scores = Counter(course.score for course in courses if course.score is not None)
    all_figures = {**figures, "scores": {score: scores[score] for score in sorted(scores)}}
    samples = [asdict(course) for course in courses]
    publish(
        Result("readable", about, asdict(options), all_figures, failures, (table,), (), samples),
        options.out,
    )
