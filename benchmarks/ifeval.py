"""IFEval on any deployment, refinement on and off: constraints that programs verify.

    redraft bench ifeval --url URL --model NAME
    redraft bench ifeval --url URL --model NAME --checks given
    redraft bench ifeval --url URL --model NAME --direct        any OpenAI-compatible server
    redraft bench ifeval --recorded runs/ifeval/replies.jsonl   grade again, ask nothing
    redraft bench ifeval --against FILE                         beside the replies of another run
    redraft bench ifeval --data FILE --unconstrained            is what needs no mending left alone?

One request for each prompt gives its draft, which is what a direct answer of the model would be,
and the refined answer. Both are graded by IFEval's own checkers and by the checks of the loop.
Another file than IFEval's has prompts with meta.checks, as ``redraft train constraints`` writes
them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from redraft.benchmarks.commands.errors import MeasurementFailed
from redraft.benchmarks.commands.options import LOCAL_URL, CallOptions, read
from redraft.benchmarks.data import IFEVAL
from redraft.benchmarks.following.against import against, against_table
from redraft.benchmarks.following.asking import Courses, GivenChecks, RefineSettings, ask, recorded
from redraft.benchmarks.following.figures import figures_of
from redraft.benchmarks.following.graded import GradedCourse, grade
from redraft.benchmarks.following.tables import tables
from redraft.benchmarks.grading.constrained import ConstrainedPrompt, drawn, read_prompts
from redraft.benchmarks.grading.graders import graders_for
from redraft.benchmarks.output.results import Result, publish
from redraft.server.options import ConfigError, option


@dataclass(frozen=True, kw_only=True)
class IfevalOptions(CallOptions):
    url: str = option("of the server, /v1 included", LOCAL_URL)
    model: str = option("its name on the server; none: the server's first", "")
    recorded: Path | None = option("grade these replies; nothing is asked", None)
    against: Path | None = option("replies of another run, to compare with by prompt", None)
    direct: bool = option("ask for a plain chat completion, of any server", False)
    iterations: int | None = option("of refinement; none: the model's own", None, least=0)
    checks: GivenChecks = option("given: the prompt's; auto: the model reads them", "none")
    drafts: int = option("drafts, the best of which is refined", 1, least=1)
    refine: str = option("further options of /v1/refine, as JSON", "{}")
    max_tokens: int = option("most tokens of a response", 1280, least=1)
    temperature: float = option("of drafts", 0.0, least=0)
    seed: int = option("of drafts and of resampling", 0)
    data: Path | None = option("prompts; none: IFEval's 541", None)
    unconstrained: bool = option("prompts of --data may have no constraints", False)
    sample: int | None = option("only so many of these, drawn by seed", None, least=1)
    limit: int | None = option("only so many prompts, from the start", None, least=1)
    max_failed: float = option("share of calls that may fail", 0.01)
    out: Path = option("folder for the results", Path("runs/ifeval"))

    def __post_init__(self) -> None:
        if self.drafts > 1 and not self.temperature:
            raise ConfigError("--drafts above 1 needs --temperature: at 0 all drafts are the same")
        self.settings()  # so that what cannot be used is said before anything is asked

    def prompts(self) -> list[ConstrainedPrompt]:
        prompts = read_prompts(self.data or IFEVAL, unconstrained=self.unconstrained)
        return drawn(prompts, self.sample, self.seed)[: self.limit]

    def settings(self) -> RefineSettings:
        try:
            refine: Any = json.loads(self.refine)
        except ValueError as error:
            raise ConfigError(f"--refine: expected a JSON object, got {self.refine!r}") from error
        if not isinstance(refine, dict):
            raise ConfigError(f"--refine: expected a JSON object, got {self.refine!r}")
        refine |= {} if self.iterations is None else {"max_iterations": self.iterations}
        refine |= {"drafts": self.drafts} if self.drafts > 1 else {}
        if self.direct and (refine or self.checks != "none"):
            raise ConfigError("--direct asks for no refinement: leave its options out")
        return RefineSettings(
            self.direct, self.checks, self.max_tokens, self.temperature, self.seed, refine
        )


def main(arguments: Sequence[str]) -> int:
    options = read(IfevalOptions, "ifeval", arguments, __doc__)
    prompts = options.prompts()
    graders = graders_for(prompts)
    failures: Counter[str] = Counter()
    # Read before anything is asked: a wrong file costs no run.
    beside = recorded(prompts, options.against) if options.against else []
    if options.recorded:
        courses = recorded(prompts, options.recorded)
    else:
        courses, failures = _asked(options, prompts)
    graded = grade(courses, graders)
    _report(options, graded, grade(beside, graders), failures)
    return 1 if failures.total() > options.max_failed * len(prompts) else 0


def _asked(
    options: IfevalOptions, prompts: Sequence[ConstrainedPrompt]
) -> tuple[Courses, Counter[str]]:
    endpoint = options.endpoint(options.url, options.model)
    path = options.out / "replies.jsonl"
    courses, failures = ask(prompts, options.settings(), endpoint, path, options.concurrency)
    if not courses:
        raise MeasurementFailed(f"no prompt was answered: {dict(failures)}")
    return courses, failures


def _report(
    options: IfevalOptions,
    graded: Sequence[GradedCourse],
    beside: Sequence[GradedCourse],
    failures: Mapping[str, int],
) -> None:
    what = options.data.stem if options.data else "IFEval"
    figures = figures_of(graded, options.seed)
    shown = tables(figures, " of ".join(filter(None, (what, options.model))))
    if options.against:
        figures["against"] = against(graded, beside, options.seed)
        shown = (*shown, against_table(figures["against"], options.against.name))
    about = f"{what}: constraints that programs verify, met by drafts and by refined answers."
    publish(
        Result(
            "ifeval",
            about,
            asdict(options),
            figures,
            failures,
            shown,
            samples=[_sample(each) for each in graded],
            headline=_headline(figures),
        ),
        options.out,
    )


def _headline(figures: Mapping[str, Any]) -> dict[str, Any]:
    told = ("prompts", "constraints", "unconstrained")
    headline = {key: figures[key] for key in told if key in figures}
    for first in list(figures["graders"].values())[:1]:
        headline |= {key: first[key] for key in ("shares", "gains")}
    return headline


def _sample(each: GradedCourse) -> dict[str, Any]:
    """What each grader says of the draft and of the answer."""
    course = each.course
    return {
        "prompt": each.prompt.text,
        "kinds": each.prompt.kinds,
        **{
            f"{stage} by {grader}": met[text].strict
            for grader, met in each.met.items()
            for stage, text in (("draft", course.draft), ("answer", course.answer))
        },
        "stop_reason": course.stop_reason,
        "score": course.first_score,
        "tokens": course.tokens,
    }
