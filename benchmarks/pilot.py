"""Should this model refine on this work? Labelled prompts in, a measured policy out.

    redraft bench pilot labelled.jsonl --url URL --model NAME
    redraft bench pilot labelled.jsonl ... --write models/my-model     puts it in redraft.json

A line of labelled.jsonl is {"prompt": "...", "answers": ["...", ...]}: 50 or more, like what the
model will be asked; with --judge URL, which says what is right, the answers may be left out.
Refining recovers some wrong drafts (rate r) and spoils some right ones (rate d); it pays where the
share of wrong drafts is above d / (r + d). The recommended policy is off unless the gain is shown:
its 95% interval must be above zero, on prompts that did not choose it. What a request may ask for
beside a policy (--options) is recommended where it is shown to be ahead of the policy.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self, get_args

from redraft.benchmarks.commands.errors import MeasurementFailed
from redraft.benchmarks.commands.options import ServerOptions, read
from redraft.benchmarks.grading import request_options
from redraft.benchmarks.grading.grading import PromptOptions, ask_and_grade
from redraft.benchmarks.grading.labelled import LabelledPrompt
from redraft.benchmarks.grading.request_options import (
    OPTIONS,
    OptionName,
    WeighedOption,
    recommend_option,
)
from redraft.benchmarks.grading.ways import Way, refining
from redraft.benchmarks.grading.weighing import Answered, Answers
from redraft.benchmarks.output.plots import lines
from redraft.benchmarks.output.results import Cell, Result, Table, plain, publish
from redraft.benchmarks.stats.intervals import wilson
from redraft.benchmarks.stats.pairs import compare, flips
from redraft.server.options import ConfigError, option
from redraft.server.refine import manifest
from redraft.server.refine.manifest import DefaultPolicy

WAY = "loop"
# None: no score ends the loop. Last, since a gate costs nothing where it is never reached.
GATES = (10, 9, 8, 7, 6, None)
OFF = DefaultPolicy(0)


@dataclass(frozen=True, kw_only=True)
class PilotOptions(PromptOptions, ServerOptions):
    labelled: Path = option("file of labelled prompts", positional="LABELLED")
    max_iterations: int = option("most that are tried", 3, least=1)
    options: tuple[OptionName, ...] = option(
        "of a request, tried beside the policies", get_args(OptionName)
    )
    write: Path | None = option("the model directory whose redraft.json gets the policy", None)
    least: int = option("fewest prompts to judge from", 50)
    temperature: float | None = option("of drafts; none: the model's own", None)
    out: Path = option("folder for the results", Path("runs/pilot"))


def main(arguments: Sequence[str]) -> int:
    options = read(PilotOptions, "pilot", arguments, __doc__)
    prompts = options.labelled_prompts(options.labelled)
    if len(prompts) < options.least:
        raise ConfigError(f"{len(prompts)} prompts are too few; give at least {options.least}")
    by_place, failures = run_all(prompts, options)
    loops = list(by_place.values())
    if len(loops) < options.least:
        raise MeasurementFailed(f"only {len(loops)} prompts were answered: {dict(failures)}")
    recommended = recommend(loops, options.max_iterations, options.seed)
    right = {place: outcome(loop, recommended.policy)[0] for place, loop in by_place.items()}
    answered = run_options(prompts, options)
    weighed = [
        WeighedOption.of(name, answers, right, options.seed) for name, answers in answered.items()
    ]
    option_shown = recommend_option(answered, right, options.seed)
    shown = {
        "options": {each.name: each.json() for each in weighed},
        "recommended_option": OPTIONS[option_shown] if option_shown else None,
    }
    written = None
    if options.write:
        written = write_policy(options.write, recommended, {"prompts": len(loops), **shown})
    beside = request_options.table(weighed, option_shown, recommended.name)
    _report(options, loops, recommended, failures, written, shown, beside)
    return 1 if failures.total() > options.max_failed * len(prompts) else 0


def run_all(
    prompts: Sequence[LabelledPrompt], options: PilotOptions
) -> tuple[dict[int, Loop], Counter[str]]:
    """Answer every prompt once with all iterations, whatever the scores. Policies are compared on
    these loops."""
    settings = options.ask_settings(options.url, options.model)
    ways = {WAY: refining(options.max_iterations)}
    answers, failures = ask_and_grade(prompts, ways, settings, options.grader(), options.out)
    return {place: Loop.of(each) for place, each in sorted(answers[WAY].items())}, failures


def run_options(
    prompts: Sequence[LabelledPrompt], options: PilotOptions
) -> dict[OptionName, Answers]:
    """The answers with each option. One that the model or the server cannot follow is left out."""
    settings = options.ask_settings(options.url, options.model)
    answered: dict[OptionName, Answers] = {}
    for name in options.options:
        ways: dict[str, Way] = {name: OPTIONS[name]}
        answers, failed = ask_and_grade(prompts, ways, settings, options.grader(), options.out)
        if len(answers[name]) >= options.least:
            answered[name] = answers[name]
        else:
            print(f"option {name} is left out: {dict(failed)}", file=sys.stderr)
    return answered


@dataclass(frozen=True, slots=True)
class Loop:
    """One loop: responses from the draft on, with feedback between them."""

    right: tuple[bool, ...]
    tokens: tuple[int, ...]  # of each response
    scores: tuple[int | None, ...]  # of each feedback; the last response may have none
    feedback_tokens: float  # of one feedback, in the mean

    @classmethod
    def of(cls, answered: Answered) -> Self:
        reply = answered.reply
        each = reply.feedback_tokens / max(1, len(reply.scores))
        return cls(answered.course, reply.response_tokens, reply.scores, each)


@dataclass(frozen=True, slots=True)
class Tried:
    policy: DefaultPolicy
    right: int
    tokens: float

    @property
    def name(self) -> str:
        iterations, gate = self.policy.max_iterations, self.policy.good_enough
        if not iterations:
            return "off"
        return f"{iterations} iteration{'s' * (iterations > 1)}{f', until {gate}' if gate else ''}"


def candidates(max_iterations: int) -> list[DefaultPolicy]:
    """Strictest gate first, so that it is preferred among equals."""
    steps = range(1, max_iterations + 1)
    return [DefaultPolicy(iterations, gate) for iterations in steps for gate in GATES]


def outcome(loop: Loop, policy: DefaultPolicy) -> tuple[bool, float]:
    """Whether the answer is right, and its cost in tokens."""
    at, cost = 0, float(loop.tokens[0])
    while at < policy.max_iterations and at < len(loop.scores):
        cost += loop.feedback_tokens
        score = loop.scores[at]
        if policy.good_enough and score is not None and score >= policy.good_enough:
            break
        if at + 1 == len(loop.right):
            break
        at += 1
        cost += loop.tokens[at]
    return loop.right[at], cost


def try_policy(loops: Sequence[Loop], policy: DefaultPolicy) -> Tried:
    outcomes = [outcome(loop, policy) for loop in loops]
    return Tried(policy, sum(right for right, _ in outcomes), sum(cost for _, cost in outcomes))


def cheapest_best(loops: Sequence[Loop], policies: Sequence[DefaultPolicy]) -> Tried:
    tried = [try_policy(loops, policy) for policy in policies]
    return min(tried, key=lambda each: (-each.right, each.tokens))


def recommend(loops: Sequence[Loop], max_iterations: int, seed: int) -> Tried:
    """The cheapest of the best policies if it gains on prompts that did not choose it: each half
    of the prompts chooses a policy that is measured on the other half."""
    able = candidates(max_iterations)
    gains: list[float] = []
    even, odd = loops[::2], loops[1::2]
    for chosen_on, shown_on in ((even, odd), (odd, even)):
        policy = cheapest_best(chosen_on, able).policy
        gains += [100.0 * (outcome(loop, policy)[0] - loop.right[0]) for loop in shown_on]
    shown = compare(gains, [0.0] * len(gains), seed).difference
    return cheapest_best(loops, able) if shown.low > 0 else try_policy(loops, OFF)


def write_policy(directory: Path, recommended: Tried, measured: Mapping[str, Any]) -> Path:
    """The policy, and beside the model's other figures what it was measured from."""
    written = manifest.amend(directory, recommended.policy, {"pilot": plain(measured)})
    if written is None:
        raise ConfigError(
            f"{directory} has no {manifest.NAME} with a policy; only a model with one keeps it"
        )
    return written


def _report(
    options: PilotOptions,
    loops: Sequence[Loop],
    recommended: Tried,
    failures: Counter[str],
    written: Path | None,
    shown: Mapping[str, Any],
    beside: Table,
) -> None:
    before = [loop.right[0] for loop in loops]
    off = try_policy(loops, OFF)
    tried = [off, *(try_policy(loops, policy) for policy in candidates(options.max_iterations))]
    rows: list[tuple[Cell, ...]] = []
    for each in tried:
        after = [outcome(loop, each.policy)[0] for loop in loops]
        gain = compare([100.0 * a for a in after], [100.0 * b for b in before], options.seed)
        name = each.name + (" (recommended)" if each == recommended else "")
        right, mean_tokens = wilson(each.right, len(loops)).scaled(100), each.tokens / len(loops)
        compared = (gain.difference, flips(before, after).shown, gain.p_value)
        rows.append((name, right, *compared, round(mean_tokens, 1)))
    first = flips(before, [outcome(loop, DefaultPolicy(1))[0] for loop in loops])
    wrong = wilson(before.count(False), len(loops))
    needed = first.disruption / (first.recovery + first.disruption or float("nan"))
    figures = {
        "prompts": len(loops),
        "wrong_drafts": wrong,
        "recovery": wilson(first.wrong_to_right, first.wrong_to_right + first.kept_wrong),
        "disruption": wilson(first.right_to_wrong, first.right_to_wrong + first.kept_right),
        "refine_if_wrong_drafts_above": needed,
        "recommended": recommended.policy,
        **shown,
        "written": str(written) if written else None,
    }
    columns = ("policy", "right %", "gain, points", "mended/spoiled", "p (sign test)", "tokens")
    note = "Gains are paired with the draft. Recommended only if shown on prompts that chose none."
    points = [
        (float(each.policy.max_iterations), wilson(each.right, len(loops)).scaled(100))
        for each in tried
        if each.policy.good_enough is None
    ]
    plot = lines(options.out / "pilot.svg", {"right": points}, ("iterations", "right, %"))
    about = "Whether refining pays on these prompts, and how much of it."
    table = Table("Policies", columns, tuple(rows), note)
    tables = (table, beside) if beside.rows else (table,)
    result = Result("pilot", about, asdict(options), figures, failures, tables, (plot,))
    publish(result, options.out)
