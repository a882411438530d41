"""The card of the shipped adapter: every number in it comes from a file of measurements.

    redraft bench ifeval --model redraft-smollm2 --max-tokens 400 --out runs/ifeval
    redraft bench card --model models/redraft-smollm2 --replies runs/ifeval/replies.jsonl

With --replies they are kept beside the weights (ifeval.jsonl.gz) and graded (ifeval.json); --ways,
--unconstrained and --tasks take results of ``redraft bench experiments ways``, ``redraft bench
ifeval --unconstrained`` and ``redraft bench tasks run``, direct first, and --agreement one of
``redraft train agreement``. Without, what is there counts. Writes README.md, TRACES.md with traces
drawn by seed, and the figures in redraft.json. mending.json is that of ``redraft train mending``.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redraft.benchmarks.adapter_card import figures_text, traces
from redraft.benchmarks.commands.errors import MeasurementFailed
from redraft.benchmarks.commands.options import read
from redraft.benchmarks.data import IFEVAL
from redraft.benchmarks.following.asking import recorded
from redraft.benchmarks.following.figures import figures_of
from redraft.benchmarks.following.graded import GradedCourse, grade
from redraft.benchmarks.following.tables import GRADERS
from redraft.benchmarks.grading.constrained import Grader, by_checks, read_prompts
from redraft.benchmarks.grading.graders import CHECKS, PUBLISHED
from redraft.benchmarks.grading.published_ifeval import PublishedIfeval
from redraft.benchmarks.output.results import plain
from redraft.server import jsonl
from redraft.server.options import option
from redraft.server.refine import manifest

REPLIES, FIGURES, TRACES, CARD = "ifeval.jsonl.gz", "ifeval.json", "TRACES.md", "README.md"
MENDING, WAYS, UNCONSTRAINED = "mending.json", "ways.json", "unconstrained.json"
TASKS, AGREEMENT = "tasks.json", "agreement.json"
KEPT = ("answer", "stop_reason", "usage", "trace")  # of a reply
# In the manifest's words.
LEVELS = {"prompt_level_strict": "prompt strict", "instruction_level_strict": "constraint strict"}
COMMAND = "redraft bench ifeval --model redraft-smollm2 --max-tokens 400"


@dataclass(frozen=True, kw_only=True)
class AdapterCardOptions:
    model: Path = option("folder of the adapter to describe")
    replies: Path | None = option("of redraft bench ifeval; none: those in the folder", None)
    ways: Path | None = option("ways.json of redraft bench experiments ways", None)
    unconstrained: Path | None = option("ifeval.json of prompts without constraints", None)
    tasks: tuple[Path, ...] = option("tasks.json of redraft bench tasks run", ())
    agreement: Path | None = option("figures of redraft train agreement on HH-RLHF", None)
    traces: int = option("so many are printed in full", 20, least=1)
    seed: int = option("of their draw, and of resampling", 0)


def main(arguments: Sequence[str]) -> int:
    options = read(AdapterCardOptions, "card", arguments, __doc__)
    if options.replies:
        _keep(options.replies, options.model / REPLIES)
    if options.ways:
        figures = jsonl.read_document(options.ways)["figures"]["ways"]
        jsonl.write_json(options.model / WAYS, figures[GRADERS[PUBLISHED]])
    if options.unconstrained:
        figures = jsonl.read_document(options.unconstrained)["figures"]
        jsonl.write_json(options.model / UNCONSTRAINED, figures)
    if options.tasks:
        each = [jsonl.read_document(path)["figures"] for path in options.tasks]
        jsonl.write_json(options.model / TASKS, {"runs": each})
    if options.agreement:
        figures = jsonl.read_document(options.agreement)
        jsonl.write_json(options.model / AGREEMENT, figures)
    graded, replies = graded_replies(options.model / REPLIES)
    jsonl.write_json(options.model / FIGURES, plain(figures_of(graded, options.seed)))
    page = traces.page(graded, replies, options.traces, options.seed)
    (options.model / TRACES).write_text(page, encoding="utf-8")
    (options.model / CARD).write_text(card(options.model), encoding="utf-8")
    path = options.model / manifest.NAME
    jsonl.write_json(path, with_evaluation(options.model))
    print(f"card: {options.model / CARD}")
    return 0


def _keep(replies: Path, path: Path) -> None:
    """In the order of the prompts, without what only this run was about."""
    by_prompt = {record["prompt"]: record["reply"] for record in jsonl.read(replies)}
    rows = [
        {"prompt": prompt.text, "reply": {key: by_prompt[prompt.text][key] for key in KEPT}}
        for prompt in read_prompts(IFEVAL)
        if prompt.text in by_prompt
    ]
    # Without a time, so that the same replies are the same file.
    path.write_bytes(gzip.compress(b"".join(map(jsonl.encode, rows)), mtime=0))


def graded_replies(path: Path) -> tuple[list[GradedCourse], Mapping[str, Any]]:
    """By both graders, and the replies by prompt."""
    courses = recorded(read_prompts(IFEVAL), path)
    graders: dict[str, Grader] = {PUBLISHED: PublishedIfeval(), CHECKS: by_checks}
    return grade(courses, graders), {row["prompt"]: row["reply"] for row in jsonl.read(path)}


def card(model: Path) -> str:
    """The text of README.md, from the figures in the folder."""
    ifeval, mending, *others = (
        jsonl.read_document(model / name) if (model / name).exists() else None
        for name in (FIGURES, MENDING, WAYS, UNCONSTRAINED, TASKS, AGREEMENT)
    )
    if ifeval is None or mending is None:
        raise MeasurementFailed(f"{model} needs {FIGURES} and {MENDING}")
    return figures_text.render(ifeval, mending, *others)


def with_evaluation(model: Path) -> dict[str, Any]:
    """redraft.json, with the figures in the folder."""
    content: dict[str, Any] = json.loads((model / manifest.NAME).read_text(encoding="utf-8"))
    figures = jsonl.read_document(model / FIGURES)
    published = figures["graders"][PUBLISHED]
    draft, answer = (published["shares"][stage] for stage in ("draft", "answer"))
    numbers = published["flips"]["numbers"]
    stated = {
        "instructions": figures["prompts"],
        **{
            name: {
                "draft": round(draft[level]["estimate"], 1),
                "refined": round(answer[level]["estimate"], 1),
            }
            for name, level in LEVELS.items()
        },
        "mended": numbers["wrong_to_right"],
        "spoiled": numbers["right_to_wrong"],
        "feedback_readable": round(figures["loop"]["readable"]["estimate"], 1),
    }
    content["evaluation"] |= {"command": COMMAND, "ifeval": stated}
    return content
