"""Asks prompts in several ways and grades the answers and all responses before them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from redraft.benchmarks.grading.labelled import Grader, LabelledPrompt
from redraft.benchmarks.grading.ways import AskSettings, Way, ask_all
from redraft.benchmarks.grading.weighing import Answered
from redraft.benchmarks.load.endpoint import CallFailed


async def ask_and_grade(
    prompts: Sequence[LabelledPrompt],
    ways: Mapping[str, Way],
    settings: AskSettings,
    grader: Grader,
    out: Path,
) -> tuple[dict[str, dict[int, Answered]], Counter[str]]:
    """Answers by way and index of the prompt, and the failures by reason. An answer that could
    not be graded is a failure."""
    texts = [prompt.prompt for prompt in prompts]
    replies, failures = await ask_all(texts, ways, settings, out / "answers.jsonl")
    grades = await grader.grade(
        (prompts[place], text)
        for of_way in replies.values()
        for place, reply in of_way.items()
        for text in (reply.answer, *reply.responses)
    )
    answered: dict[str, dict[int, Answered]] = {name: {} for name in ways}
    for name, of_way in replies.items():
        for place, reply in of_way.items():
            try:
                right = grades.of(prompts[place], reply.answer)
                course = tuple(grades.of(prompts[place], text) for text in reply.responses)
            except CallFailed as failed:
                failures[failed.reason] += 1
            else:
                answered[name][place] = Answered(right, course, reply)
    return answered, failures
