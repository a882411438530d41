"""Asks prompts in several ways and grades the answers and all responses before them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from redraft.benchmarks.commands.errors import MeasurementFailed
from redraft.benchmarks.commands.options import CallOptions
from redraft.benchmarks.grading.labelled import Grader, LabelledPrompt, Match, read_labelled
from redraft.benchmarks.grading.ways import AskSettings, Way, ask_all
from redraft.benchmarks.grading.weighing import Answered, Answers
from redraft.benchmarks.load.endpoint import CallFailed, Endpoint
from redraft.server.options import option

GRADES = "grades"  # the group of options in --help


@dataclass(frozen=True, kw_only=True)
class PromptOptions(CallOptions):
    """How prompts are asked, and how answers are graded."""

    match: Match = option("how answers compare", "exact", GRADES)
    judge: str | None = option("asks URL/judge which answers are right", None, GRADES)
    judge_key_variable: str = option(
        "environment variable with the judge's API key", "JUDGE_API_KEY", GRADES
    )
    temperature: float | None = option("of drafts; none: the model's own", 0.7)
    max_tokens: int | None = option("most tokens of a response; none: the server's", None, least=1)
    limit: int | None = option("only so many prompts", None, least=1)
    seed: int = option("of drafts and of resampling", 0)
    max_failed: float = option("share that may fail before the exit code is 1", 0.01)
    out: Path = option("folder for the results", Path("runs"))

    def ask_settings(self, url: str, model: str, deployment: str = "") -> AskSettings:
        endpoint = self.endpoint(url, model)
        return AskSettings(
            endpoint, self.temperature, self.seed, self.concurrency, deployment, self.max_tokens
        )

    def labelled_prompts(self, path: Path) -> list[LabelledPrompt]:
        return read_labelled(path, "judge" if self.judge else self.match)[: self.limit]

    def grader(self, default_judge: str = "") -> Grader:
        url = self.judge or default_judge
        if not url:
            return Grader(self.match)
        judge = Endpoint(url, "", self.judge_key_variable, self.timeout_s, self.retries)
        return Grader(self.match, judge, self.out / "grades.jsonl", self.concurrency)


class NothingAnswered(MeasurementFailed):
    """One of the ways to compare gave no answers."""


def ask_and_grade(
    prompts: Sequence[LabelledPrompt],
    ways: Mapping[str, Way],
    settings: AskSettings,
    grader: Grader,
    out: Path,
) -> tuple[dict[str, Answers], Counter[str]]:
    """Answers by way and index of the prompt, and the failures by reason. An answer that could
    not be graded is a failure."""
    texts = [prompt.prompt for prompt in prompts]
    replies, failures = asyncio.run(ask_all(texts, ways, settings, out / "answers.jsonl"))
    graded = [
        (prompts[place], text)
        for of_way in replies.values()
        for place, reply in of_way.items()
        for text in (reply.answer, *reply.responses)
    ]
    grades = asyncio.run(grader.grade(graded))
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
    return dict(answered), failures


def require_answers(answers: Mapping[str, Answers], failures: Mapping[str, int]) -> None:
    """Raise NothingAnswered for ways that cannot be compared."""
    if empty := [name for name, of_way in answers.items() if not of_way]:
        raise NothingAnswered(f"no answers from {', '.join(empty)}: {dict(failures)}")
