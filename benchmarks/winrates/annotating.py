"""A judge's verdicts on a system's answers, kept in a journal."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from redraft.benchmarks.grading.judge import Judge, JudgePolicy
from redraft.benchmarks.load.endpoint import Endpoint, Session
from redraft.benchmarks.load.recorded import key_of, record_all
from redraft.benchmarks.output.journal import Record
from redraft.benchmarks.winrates.alpaca import Annotation, SystemAnswer
from redraft.benchmarks.winrates.known_set import digest
from redraft.server.options import ConfigError


async def annotate(
    references: Sequence[SystemAnswer],
    answers: Sequence[SystemAnswer],
    endpoint: Endpoint,
    policy: JudgePolicy,
    path: Path,
    concurrency: int = 8,
) -> tuple[list[Annotation], Counter[str]]:
    """One annotation for every instruction of the reference, and the numbers of unjudged ones by
    reason, answers to instructions that the reference lacks included."""
    outputs = {answer.instruction: answer.output for answer in answers}
    failures: Counter[str] = Counter()
    rows = [row for row, each in enumerate(references) if each.instruction in outputs]
    if len(rows) < len(references):
        failures["no_answer"] = len(references) - len(rows)
    if not rows:
        raise ConfigError(
            f"none of the {len(outputs)} answers is to one of the {len(references)} instructions "
            "of the reference; they are from another set"
        )
    if len(rows) < len(outputs):
        failures["no_reference"] = len(outputs) - len(rows)
    unjudged = [
        Annotation(
            row,
            len(reference.output),
            len(outputs.get(reference.instruction, "")),
            None,
            digest(reference.instruction),
        )
        for row, reference in enumerate(references)
    ]

    def texts(row: int) -> tuple[str, str, str]:
        reference = references[row]
        return reference.instruction, reference.output, outputs[reference.instruction]

    async def judged(session: Session, row: int) -> Record:
        verdict = await Judge(session, policy).verdict(*texts(row))
        made = {"preference": verdict.preference, "reference_first": verdict.reference_first}
        return {**asdict(unjudged[row]), **made}

    keyed = {key_of(json.dumps([endpoint.model, asdict(policy), *texts(row)])): row for row in rows}
    verdicts, failed = await record_all(keyed, judged, endpoint, path, concurrency, "verdicts")
    failures += failed
    preferences = {keyed[key]: verdict["preference"] for key, verdict in verdicts.items()}
    return [replace(each, preference=preferences.get(each.row)) for each in unjudged], failures
