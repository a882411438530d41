"""Courses with the verdicts of every grader on all of their texts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from redraft.benchmarks.following.courses import PromptCourse
from redraft.benchmarks.grading.constrained import ConstrainedPrompt, Grader, Met

Stage = Callable[[PromptCourse], str]  # one of the texts of a course


@dataclass(frozen=True, slots=True)
class GradedCourse:
    prompt: ConstrainedPrompt
    course: PromptCourse
    met: Mapping[str, Mapping[str, Met]]  # of each grader: what each text meets


def grade(
    courses: Sequence[tuple[ConstrainedPrompt, PromptCourse]], graders: Mapping[str, Grader]
) -> list[GradedCourse]:
    return [
        GradedCourse(
            prompt,
            course,
            {
                name: {text: grader(prompt, text) for text in set(course.texts)}
                for name, grader in graders.items()
            },
        )
        for prompt, course in courses
    ]


def stages(courses: Sequence[PromptCourse]) -> dict[str, Stage]:
    """The texts to compare: the draft, the answer, and what only some runs have."""
    found: dict[str, Stage] = {"draft": lambda course: course.draft}
    if any(course.responses[0] != course.draft for course in courses):
        found["best draft"] = lambda course: course.after(0)
    most = max(len(course.responses) for course in courses) - 1
    if most > 1:
        found |= {f"after {n}": _after(n) for n in range(1, most + 1)}
    if any(course.answer != course.draft for course in courses):
        found["answer"] = lambda course: course.answer
    return found


def _after(iterations: int) -> Stage:
    return lambda course: course.after(iterations)


def met_at(graded: Sequence[GradedCourse], grader: str, stage: Stage) -> list[Met]:
    return [each.met[grader][stage(each.course)] for each in graded]
