"""A judge's verdicts on a system's answers, kept in a journal: what is judged is not paid for
again, what is unjudged is tried again by the next run."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from redraft.benchmarks.grading.judge import Judge, JudgePolicy
from redraft.benchmarks.load.endpoint import Endpoint
from redraft.benchmarks.load.pool import work_through
from redraft.benchmarks.output.journal import Journal
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
    """One annotation for every instruction of the reference, and why some are unjudged; answers
    to instructions the reference lacks are unjudged, too."""
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
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:24]

    with Journal(path) as journal:
        async with endpoint.session() as session:
            judge = Judge(session, policy)

            async def one(pair: tuple[int, SystemAnswer, str]) -> None:
                row, reference, output = pair
                verdict = await judge.verdict(reference.instruction, reference.output, output)
                journal.add(
                    key(pair),
                    {
                        "row": row,
                        "reference_length": len(reference.output),
                        "length": len(output),
                        "preference": verdict.preference,
                        "alpaca": reference.dataset in DATASETS,
                        "reference_first": verdict.reference_first,
                    },
                )

            missing = [pair for pair in pairs if key(pair) not in journal]
            failures += await work_through(missing, one, concurrency, "verdicts")
        judged = {pair[0]: journal.records[key(pair)] for pair in pairs if key(pair) in journal}
    annotations = []
    for row, reference in enumerate(references):
        length = len(outputs.get(reference.instruction, ""))
        preference = judged[row]["preference"] if row in judged else None
        lengths = len(reference.output), length
        annotations.append(Annotation(row, *lengths, preference, reference.dataset in DATASETS))
    return annotations, failures
