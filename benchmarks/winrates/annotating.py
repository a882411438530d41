"""A judge's verdicts on a system's answers, kept in a journal."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from redraft.benchmarks.grading.judge import Judge, JudgePolicy
from redraft.benchmarks.load.endpoint import Endpoint, Session
from redraft.benchmarks.load.recorded import key_of, record_all
from redraft.benchmarks.output.journal import Record
from redraft.benchmarks.winrates.alpaca import DATASETS, Annotation, SystemAnswer
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
    pairs = []
    for row, reference in enumerate(references):
        if reference.instruction in outputs:
            pairs.append((row, reference, outputs[reference.instruction]))
        else:
            failures["no_answer"] += 1
    if not pairs:
        raise ConfigError(
            f"none of the {len(outputs)} answers is to one of the {len(references)} instructions "
            "of the reference; they are from another set"
        )
    if len(pairs) < len(outputs):
        failures["no_reference"] = len(outputs) - len(pairs)

    def key(pair: tuple[int, SystemAnswer, str]) -> str:
        _, reference, output = pair
        parts = [endpoint.model, asdict(policy), reference.instruction, reference.output, output]
        return key_of(json.dumps(parts))

    async def judged(session: Session, pair: tuple[int, SystemAnswer, str]) -> Record:
        row, reference, output = pair
        judge = Judge(session, policy)
        verdict = await judge.verdict(reference.instruction, reference.output, output)
        return {
            "row": row,
            "reference_length": len(reference.output),
            "length": len(output),
            "preference": verdict.preference,
            "alpaca": reference.dataset in DATASETS,
            "reference_first": verdict.reference_first,
        }

    keyed = {key(pair): pair for pair in pairs}
    verdicts, failed = await record_all(keyed, judged, endpoint, path, concurrency, "verdicts")
    failures += failed
    preferences = {keyed[key][0]: verdict["preference"] for key, verdict in verdicts.items()}
    annotations = []
    for row, reference in enumerate(references):
        length = len(outputs.get(reference.instruction, ""))
        lengths, alpaca = (len(reference.output), length), reference.dataset in DATASETS
        annotations.append(Annotation(row, *lengths, preferences.get(row), alpaca))
    return annotations, failures
