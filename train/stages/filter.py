"""Keep the lessons worth learning from: the paper's two rules (section 4.1), counted by reason.

    redraft train filter --data DIR/collected.jsonl --output DIR

1. The feedback is complete: weaknesses, suggestions, an overall score.
2. The refinement's independent score is not below the draft's.

Writes DIR/kept.jsonl, DIR/rejected.jsonl (each with its reason) and DIR/filter.json.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from redraft.server import jsonl
from redraft.server.options import option
from redraft.server.refine.srt_format import FormatError, parse_feedback
from redraft.train.data.records import Lesson, read_lessons
from redraft.train.program import read


@dataclass(frozen=True, slots=True)
class FilterOptions:
    """Which lessons are kept for stage one."""

    data: str = option("collected.jsonl of collect")
    output: str = option("folder for kept.jsonl and rejected.jsonl")
    need_scores: bool = option("reject lessons that were not scored independently", True)
    keep_cut_drafts: bool = option("keep lessons whose draft was cut at its token limit", False)


def rejection(
    lesson: Lesson, need_scores: bool = True, keep_cut_drafts: bool = False
) -> str | None:
    """Why a lesson is not kept; None when it is."""
    if not lesson.draft.strip():
        return "empty draft"
    if lesson.cut and not (keep_cut_drafts and lesson.cut == "draft"):
        return f"{lesson.cut} cut at its token limit"
    try:
        feedback = parse_feedback(lesson.feedback)
    except FormatError:
        return "feedback without a score"
    if not feedback.weaknesses:
        return "feedback without weaknesses"
    if not feedback.suggestions:
        return "feedback without suggestions"
    if not lesson.refinement.strip():
        return "no refinement"
    if lesson.draft_score is None or lesson.refinement_score is None:
        return "not scored" if need_scores else None
    if lesson.refinement_score < lesson.draft_score:
        return "refinement scored below its draft"
    return None


def run(options: FilterOptions) -> dict[str, int]:
    """How many lessons were rejected for each reason, and how many were ``kept``."""
    output = Path(options.output)
    need_scores, keep_cut = options.need_scores, options.keep_cut_drafts
    lessons = [
        (lesson, rejection(lesson, need_scores, keep_cut))
        for lesson in read_lessons(Path(options.data))
    ]
    kept = [lesson.to_json() for lesson, reason in lessons if reason is None]
    rejected = [{"reason": reason, **lesson.to_json()} for lesson, reason in lessons if reason]
    jsonl.write(output / "kept.jsonl", kept)
    jsonl.write(output / "rejected.jsonl", rejected)
    reasons = Counter(reason for _, reason in lessons if reason)
    counts = {"kept": len(kept), **dict(reasons.most_common())}
    jsonl.write_json(output / "filter.json", counts)
    return counts


def main(argv: Sequence[str]) -> int:
    options = read(FilterOptions, "filter", argv)
    counts = run(options)
    total = sum(counts.values())
    for reason, count in counts.items():
        print(f"filter: {count:>8} {count / max(1, total):>6.1%}  {reason}")
    if not counts["kept"]:
        print(f"filter: nothing kept of {total}; see {options.output}/rejected.jsonl")
        return 1
    return 0
