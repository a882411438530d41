"""The options of every measurement that asks labelled prompts in several ways."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from redraft.benchmarks.commands.options import CallOptions
from redraft.benchmarks.grading.labelled import Grader, Match
from redraft.benchmarks.grading.ways import AskSettings
from redraft.benchmarks.load.endpoint import Endpoint
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
    limit: int | None = option("only so many prompts", None, least=1)
    seed: int = option("of drafts and of resampling", 0)
    max_failed: float = option("share that may fail before the exit code is 1", 0.01)
    out: Path = option("folder for the results", Path("runs"))

    def ask_settings(self, url: str, model: str, deployment: str = "") -> AskSettings:
        endpoint = self.endpoint(url, model)
        return AskSettings(endpoint, self.temperature, self.seed, self.concurrency, deployment)

    def grader(self, default_judge: str = "") -> Grader:
        url = self.judge or default_judge
        if not url:
            return Grader(self.match)
        judge = Endpoint(url, "", self.judge_key_variable, self.timeout_s, self.retries)
        return Grader(self.match, judge, self.out / "grades.jsonl", self.concurrency)
