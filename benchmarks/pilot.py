"""Should this model refine on this work? Labelled prompts in, a measured policy out.

    redraft bench pilot labelled.jsonl --url URL --model NAME
    redraft bench pilot labelled.jsonl ... --write models/my-model     puts it in redraft.json

A line of labelled.jsonl is {"prompt": "...", "answers": ["...", ...]}: 50 or more, like what the
model will be asked; with --judge URL, which says what is right, the answers may be left out.
Refining recovers some wrong drafts (rate r) and spoils some right ones (rate d); it pays where the
share of wrong drafts is above d / (r + d). The recommended policy is off unless the gain is shown:
its 95% interval must be above zero, on prompts that did not choose it.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from redraft.benchmarks.grading import labelled
from redraft.benchmarks.grading.grading import ask_and_grade
from redraft.benchmarks.grading.labelled import Grader, LabelledPrompt, read_labelled
from redraft.benchmarks.grading.policies import (
    OFF,
    Loop,
    Tried,
    TryPolicy,
    apart,
    candidates,
    cheapest_best,
    outcome,
    try_policy,
)
from redraft.benchmarks.grading.ways import refining
from redraft.benchmarks.load import asking_options, endpoint_options
from redraft.benchmarks.output.plots import lines
from redraft.benchmarks.output.results import Cell, Result, Table, publish
from redraft.benchmarks.stats.intervals import wilson
from redraft.benchmarks.stats.pairs import compare, flips
from redraft.server.options import ConfigError
from redraft.server.refine import manifest

WAY = "loop"


def main(arguments: Sequence[str]) -> int:
    options = parser().parse_args(arguments)
    rows = read_labelled(options.labelled, judged=bool(options.judge))
    if len(rows) < options.least:
        print(f"{len(rows)} prompts are too few to tell; at least {options.least}", file=sys.stderr)
        return 2
    loops, failures = run_all(rows, options)
    if len(loops) < options.least:
        print(f"only {len(loops)} prompts were answered: {dict(failures)}", file=sys.stderr)
        return 1
    recommended = recommend(loops, options.max_iterations, options.seed)
    written = write_policy(options.write, recommended) if options.write else None
    _report(options, loops, recommended, failures, written)
    return 1 if failures.total() > options.max_failed * len(rows) else 0


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="redraft bench pilot",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("labelled", type=Path)
    endpoint_options.add_url(top)
    top.add_argument("--model", required=True)
    labelled.add_options(top)
    top.add_argument("--max-iterations", type=int, default=3, help="most that are tried")
    top.add_argument("--write", type=Path, help="the model directory whose redraft.json gets it")
    top.add_argument("--least", type=int, default=50, help="fewest prompts to judge from")
    top.add_argument("--temperature", type=float, help="of drafts; default: the model's own")
    top.add_argument("--seed", type=int, default=0)
    endpoint_options.add(top)
    top.add_argument("--max-failed", type=float, default=0.01, help="share of prompts")
    top.add_argument("--out", type=Path, default=Path("runs/pilot"))
    return top


def run_all(
    rows: Sequence[LabelledPrompt], options: argparse.Namespace
) -> tuple[list[Loop], Counter[str]]:
    """Every prompt answered once, with all iterations, whatever the scores; policies are compared
    on these loops."""
    manner = asking_options.manner(options, options.url, options.model)
    ways = {WAY: refining(options.max_iterations)}
    work = ask_and_grade(rows, ways, manner, Grader.of(options), options.out)
    found, failures = asyncio.run(work)
    return [Loop.of(answered) for _, answered in sorted(found[WAY].items())], failures


def recommend(loops: Sequence[Loop], max_iterations: int, seed: int) -> Tried:
    """The cheapest of the best, if it is shown to beat no refinement on the other half of the
    prompts, whichever half chose it."""
    able = candidates(max_iterations)
    gains: list[float] = []
    for chosen_on, shown_on in apart(loops):
        policy = cheapest_best(chosen_on, able).policy
        gains += [100.0 * (outcome(loop, policy)[0] - loop.right[0]) for loop in shown_on]
    shown = compare(gains, [0.0] * len(gains), seed).difference
    return cheapest_best(loops, able) if shown.low > 0 else try_policy(loops, OFF)


def write_policy(directory: Path, recommended: Tried) -> Path:
    found = manifest.read(directory)
    if found is None:
        raise ConfigError(f"{directory} has no {manifest.NAME}; only a model that has one keeps it")
    policy = manifest.DefaultPolicy(
        recommended.policy.iterations, recommended.policy.good_enough, "last"
    )
    return manifest.write(directory, found.srt_format, policy, found.calibration, found.evaluation)


def _report(
    options: argparse.Namespace,
    loops: Sequence[Loop],
    recommended: Tried,
    failures: Counter[str],
    written: Path | None,
) -> None:
    before = [loop.right[0] for loop in loops]
    off = try_policy(loops, OFF)
    tried = [off, *(try_policy(loops, policy) for policy in candidates(options.max_iterations))]
    rows: list[tuple[Cell, ...]] = []
    for each in tried:
        after = [outcome(loop, each.policy)[0] for loop in loops]
        gain = compare([100.0 * a for a in after], [100.0 * b for b in before], options.seed)
        flipped = flips(before, after)
        rows.append(
            (
                each.policy.name + (" (recommended)" if each == recommended else ""),
                wilson(each.right, len(loops)).scaled(100),
                gain.difference,
                f"{flipped.wrong_to_right}/{flipped.right_to_wrong}",
                gain.p_value,
                round(each.tokens / len(loops), 1),
            )
        )
    first = flips(before, [outcome(loop, TryPolicy(1))[0] for loop in loops])
    wrong = wilson(before.count(False), len(loops))
    needed = first.disruption / (first.recovery + first.disruption or float("nan"))
    figures = {
        "prompts": len(loops),
        "wrong_drafts": wrong,
        "recovery": wilson(first.wrong_to_right, first.wrong_to_right + first.kept_wrong),
        "disruption": wilson(first.right_to_wrong, first.right_to_wrong + first.kept_right),
        "refine_if_wrong_drafts_above": needed,
        "recommended": recommended.policy.json(),
        "written": str(written) if written else None,
    }
    columns = ("policy", "right %", "gain, points", "mended/spoiled", "p (sign test)", "tokens")
    note = "Gains are paired with the draft. Recommended only if shown on prompts that chose none."
    points = [
        (float(each.policy.iterations), wilson(each.right, len(loops)).scaled(100))
        for each in tried
        if each.policy.good_enough is None
    ]
    plot = lines(options.out / "pilot.svg", {"right": points}, ("iterations", "right, %"))
    about = "Whether refining pays on these prompts, and how much of it."
    table = Table("Policies", columns, tuple(rows), note)
    result = Result("pilot", about, vars(options), figures, failures, (table,), (plot,))
    publish(result, options.out)
