"""What graded courses say: constraints met before and after refining, and what the feedback was
worth. Shares in percent, differences in points, with 95% intervals over prompts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from redraft.benchmarks.following.courses import PromptCourse
from redraft.benchmarks.following.graded import GradedCourse, met_at, stages
from redraft.benchmarks.grading.constrained import Met
from redraft.benchmarks.stats.intervals import (
    NOTHING,
    Interval,
    mean_interval,
    median_interval,
    percentiles,
    ratio_interval,
    resampled_means,
    wilson,
)
from redraft.benchmarks.stats.pairs import compare, flips

Figures = dict[str, Any]
LEVELS = ("prompt strict", "prompt loose", "constraint strict", "constraint loose")


@dataclass(frozen=True, slots=True)
class MetCounts:
    """For each prompt, how many constraints one text meets, of how many."""

    met: tuple[float, ...]
    of: tuple[float, ...]

    @classmethod
    def at(cls, level: str, verdicts: Sequence[Met]) -> MetCounts:
        """At the level of prompts, where all constraints or none count, or of constraints."""
        what, strictness = level.split()
        rows = [each.strict if strictness == "strict" else each.loose for each in verdicts]
        if what == "prompt":
            return cls(tuple(float(all(row)) for row in rows), (1.0,) * len(rows))
        return cls(tuple(float(sum(row)) for row in rows), tuple(float(len(row)) for row in rows))

    def share(self, seed: int) -> Interval:
        if set(self.of) == {1.0}:
            return wilson(sum(self.met), len(self.met)).scaled(100)
        return ratio_interval(self.met, self.of, seed).scaled(100)

    def minus(self, other: MetCounts, seed: int) -> Interval:
        differences = [ours - theirs for ours, theirs in zip(self.met, other.met, strict=True)]
        return ratio_interval(differences, self.of, seed).scaled(100)


def figures_of(graded: Sequence[GradedCourse], seed: int = 0) -> Figures:
    constrained = [each for each in graded if each.prompt.kinds]
    free = [each.course for each in graded if not each.prompt.kinds]
    graders = list(graded[0].met) if constrained else []
    return {
        "prompts": len(graded),
        "constraints": sum(len(each.prompt.kinds) for each in graded),
        "graders": {name: _of_grader(constrained, name, seed) for name in graders},
        "loop": _of_loop([each.course for each in graded], seed),
        **({"unconstrained": _left_alone(free)} if free else {}),
        **({"agreement": _agreement(constrained)} if len(graders) > 1 else {}),
    }


def _left_alone(courses: Sequence[PromptCourse]) -> Figures:
    """Of prompts without constraints: no program could find anything to mend."""
    unchanged = sum(course.answer == course.draft for course in courses)
    called_right = sum(course.called_right for course in courses)
    return {
        "unchanged": wilson(unchanged, len(courses)).scaled(100),
        "called_right": wilson(called_right, len(courses)).scaled(100),
    }


def _of_grader(graded: Sequence[GradedCourse], grader: str, seed: int) -> Figures:
    """Shares of each stage, and of the stages after the draft what they gain on it."""
    verdicts = {
        name: met_at(graded, grader, stage)
        for name, stage in stages([each.course for each in graded]).items()
    }
    counts = {
        stage: {level: MetCounts.at(level, met) for level in LEVELS}
        for stage, met in verdicts.items()
    }
    draft = counts["draft"]
    found: Figures = {
        "shares": {
            stage: {level: each.share(seed) for level, each in of_stage.items()}
            for stage, of_stage in counts.items()
        },
        "gains": {
            stage: {level: each.minus(draft[level], seed) for level, each in of_stage.items()}
            for stage, of_stage in counts.items()
            if stage != "draft"
        },
        "kinds": _kinds(graded, verdicts),
    }
    if "answer" in counts:
        found["flips"] = _flips(verdicts["draft"], verdicts["answer"])
    if verdict := verdict_of(graded, grader, seed):
        found["verdict"] = verdict
    return found


def _flips(before: Sequence[Met], after: Sequence[Met]) -> Figures:
    flipped = flips([all(met.strict) for met in before], [all(met.strict) for met in after])
    return {
        "mended": wilson(flipped.wrong_to_right, len(before)).scaled(100),
        "spoiled": wilson(flipped.right_to_wrong, len(before)).scaled(100),
        "numbers": asdict(flipped),
    }


def verdict_of(graded: Sequence[GradedCourse], grader: str, seed: int) -> Figures:
    """Of the first feedback, on the draft that is refined. One that cannot be read is wrong. Empty
    where there was none."""
    if not any(each.course.called_right or each.course.called_wrong for each in graded):
        return {}
    good = [all(each.met[grader][each.course.after(0)].strict) for each in graded]
    courses = [each.course for each in graded]
    right = [course.called_right for course, is_good in zip(courses, good, strict=True) if is_good]
    found = [
        course.called_wrong for course, is_good in zip(courses, good, strict=True) if not is_good
    ]
    return {
        "good_left_alone": wilson(sum(right), len(right)).scaled(100),
        "wrong_found": wilson(sum(found), len(found)).scaled(100),
        "balanced_accuracy": _balanced(right, found, seed),
    }


def _balanced(right: Sequence[bool], found: Sequence[bool], seed: int) -> Interval:
    """The mean of two shares, with prompts resampled in each."""
    if not right or not found:
        return NOTHING
    import numpy as np

    resampled = [
        resampled_means(np.asarray(values, dtype=float), seed + place)
        for place, values in enumerate((right, found))
    ]
    bounds = percentiles(np.mean(resampled, axis=0))
    estimate = (fmean(right) + fmean(found)) / 2
    return Interval(estimate, *bounds, len(right) + len(found)).scaled(100)


def _kinds(graded: Sequence[GradedCourse], verdicts: Mapping[str, Sequence[Met]]) -> Figures:
    """How many constraints of each kind are met, strictly, at each stage."""
    of: Counter[str] = Counter()
    met = {stage: Counter[str]() for stage in verdicts}
    for place, each in enumerate(graded):
        of.update(each.prompt.kinds)
        for stage, stage_verdicts in verdicts.items():
            strict = stage_verdicts[place].strict
            met[stage].update(
                kind for kind, is_met in zip(each.prompt.kinds, strict, strict=True) if is_met
            )
    return {
        kind: {"of": of[kind], **{stage: met[stage][kind] for stage in verdicts}}
        for kind in sorted(of)
    }


def _of_loop(courses: Sequence[PromptCourse], seed: int) -> Figures:
    """What needs no grader."""
    asked = [course for course in courses if course.asked_for_feedback]
    changed = [course for course in courses if course.answer != course.draft]
    ratios = [len(course.answer) / max(1, len(course.draft)) for course in changed]
    tokens = [float(course.tokens) for course in courses]
    of_drafts = [float(course.draft_tokens) for course in courses]
    return {
        "changed": wilson(len(changed), len(courses)).scaled(100),
        "readable": wilson(sum(each.readable for each in asked), len(asked)).scaled(100),
        "length_ratio": median_interval(ratios).scaled(100),
        "tokens": mean_interval(tokens, seed),
        "draft_tokens": mean_interval(of_drafts, seed),
        "more_tokens": compare(tokens, of_drafts, seed).difference,
        "draft_read": mean_interval([float(course.draft_read) for course in courses], seed),
        "read": mean_interval([float(course.read) for course in courses], seed),
        "time_ratio": ratio_interval(
            [course.seconds for course in courses],
            [course.draft_seconds for course in courses],
            seed,
        ).scaled(100),
        "stop_reasons": dict(Counter(course.stop_reason for course in courses).most_common()),
    }


def _agreement(graded: Sequence[GradedCourse]) -> Figures:
    """For each kind, on every text of every course: how often both graders say the same."""
    ours, theirs = list(graded[0].met)[:2]
    found: dict[str, Counter[str]] = {}
    for each in graded:
        for text in each.met[ours]:
            pairs = zip(each.met[ours][text].strict, each.met[theirs][text].strict, strict=True)
            for kind, pair in zip(each.prompt.kinds, pairs, strict=True):
                counts = found.setdefault(kind, Counter())
                counts["texts"] += 1
                counts[f"only {ours}"] += pair == (True, False)
                counts[f"only {theirs}"] += pair == (False, True)
    return {kind: dict(found[kind]) for kind in sorted(found)}
