"""What the arms of an experiment are asked, and who says which answers are right.

WorkbenchExam     the workbench's held-out instructions, and its exact judge
ConstraintsExam   prompts with constraints, and the programs that verify them
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from redraft.benchmarks.commands.errors import MeasurementFailed
from redraft.benchmarks.following.asking import RefineSettings, asked, recorded, replies_in
from redraft.benchmarks.following.begun import Begun
from redraft.benchmarks.following.courses import PromptCourse
from redraft.benchmarks.grading.constrained import ConstrainedPrompt, Grader
from redraft.benchmarks.grading.graders import graders_for
from redraft.benchmarks.load import servers
from redraft.benchmarks.load.endpoint import Endpoint
from redraft.benchmarks.workbench.evaluate import EvaluateOptions
from redraft.benchmarks.workbench.judge import judged
from redraft.server import jsonl
from redraft.server.refine.srt_format import HIGHEST_SCORE
from redraft.train.workbench.families import FAMILIES

Row = Mapping[str, Any]  # an answer, judged


class Exam(Protocol):
    @property
    def name(self) -> str:
        """Part of a file's name: the same for the same questions."""

    def ask(self, model: Path, iterations: int, output: Path, drafts: Path | None = None) -> None:
        """Serve the model and write its answers, all of them or none. ``drafts``: answers to the
        same questions by the model that writes the drafts of this one."""

    def judge(self, answers: Path) -> tuple[Row, ...]:
        """A row for each answer: instruction, right (of each response), verdict, stop_reason."""


@dataclass(frozen=True, slots=True)
class WorkbenchExam:
    evaluate: Callable[[EvaluateOptions], int]
    families: tuple[str, ...]  # none: all
    per_family: int
    seed: int

    @property
    def name(self) -> str:
        return "-".join([*self.families, str(self.per_family), str(self.seed)])

    def ask(self, model: Path, iterations: int, output: Path, drafts: Path | None = None) -> None:
        """Drafts are short, and written again."""
        self.evaluate(
            EvaluateOptions(
                output=output,
                model=model,
                iterations=iterations,
                per_family=self.per_family,
                families=self.families or tuple(FAMILIES),
                seed=self.seed,
            )
        )

    def judge(self, answers: Path) -> tuple[Row, ...]:
        return tuple(map(judged, jsonl.read(answers)))


@dataclass(frozen=True, slots=True)
class ConstraintsExam:
    """A response is right when every constraint of its prompt holds."""

    prompts: Sequence[ConstrainedPrompt]
    max_tokens: int  # of a response
    concurrency: int = 48

    @property
    def name(self) -> str:
        deciding = json.dumps([[prompt.text for prompt in self.prompts], self.max_tokens])
        digest = hashlib.sha256(deciding.encode()).hexdigest()[:8]
        return f"{len(self.prompts)}-{digest}"

    def ask(self, model: Path, iterations: int, output: Path, drafts: Path | None = None) -> None:
        so_far = output.with_suffix(".begun.jsonl")
        refine = {"max_iterations": iterations, "keep": "last"}
        settings = RefineSettings(False, "none", self.max_tokens, 0.0, 0, refine)
        drafted = replies_in(drafts) if drafts else {}
        begun = {prompt: Begun(reply, refine) for prompt, reply in drafted.items()}
        with servers.redraft(model, None, output.parent / "logs") as running:
            endpoint = Endpoint(running.url, "")
            _, failures = asked(
                self.prompts, settings, endpoint, so_far, self.concurrency, str(model), begun
            )
        if failures:
            raise MeasurementFailed(
                f"{failures.total()} of {len(self.prompts)} prompts got no answer: "
                f"{dict(failures)}; what was answered is kept"
            )
        so_far.replace(output)

    def judge(self, answers: Path) -> tuple[Row, ...]:
        grader, *_ = graders_for(self.prompts).values()
        return tuple(
            _row(prompt, course, grader) for prompt, course in recorded(self.prompts, answers)
        )


def _row(prompt: ConstrainedPrompt, course: PromptCourse, grader: Grader) -> Row:
    right = [all(grader(prompt, text).strict) for text in course.responses]
    score = course.first_score
    return {
        "family": ", ".join(prompt.kinds),
        "instruction": prompt.text,
        "right": right,
        "verdict": None if score is None else (score == HIGHEST_SCORE) == right[0],
        "stop_reason": course.stop_reason,
        "tokens": course.tokens,
    }
