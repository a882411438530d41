"""AlpacaEval 2.0: answers, a judge, raw and length-controlled win rates, comparisons.

    redraft bench winrate answer  --instructions R.json --url URL --model M --out runs/m
    redraft bench winrate judge   --reference R.json --url URL --model JUDGE --out runs/m
    redraft bench winrate score   runs/m/verdicts.jsonl            any annotation file
    redraft bench winrate compare runs/m/verdicts.jsonl runs/n/verdicts.jsonl
    redraft bench winrate verify  FILE... --published leaderboard.csv

R.json holds AlpacaEval's instructions with the reference's answers (model_outputs.json of
gpt4_1106_preview). Other instructions do, too, and the answers.json of any system can be the
reference. Every step can be stopped and run again; it goes on where it was.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from redraft.benchmarks.grading.judge import JudgePolicy
from redraft.benchmarks.load import endpoint_options
from redraft.benchmarks.output.plots import bars
from redraft.benchmarks.output.results import Result, Table, publish
from redraft.benchmarks.winrates.alpaca import (
    Annotation,
    Answer,
    name_of,
    read_annotations,
    read_answers,
    read_instructions,
    write_answers,
)
from redraft.benchmarks.winrates.annotating import OtherInstructions, annotate
from redraft.benchmarks.winrates.answering import Asking, answer_all
from redraft.benchmarks.winrates.length_control import RESAMPLES, SHIPPED, read_gamed
from redraft.benchmarks.winrates.preference import WinRate, compare_win_rates, win_rate
from redraft.benchmarks.winrates.published import verify_step


def main(arguments: Sequence[str]) -> int:
    options = parser().parse_args(arguments)
    code: int = options.step(options)
    return code


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="redraft bench winrate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    steps = top.add_subparsers(required=True, metavar="STEP")
    add = _adder(steps)

    answer = add("answer", answer_step, "generate the answers; those there already stay")
    _endpoint_options(answer)
    answer.add_argument(
        "--instructions",
        "--reference",
        type=Path,
        required=True,
        help="a reference's answers, or .jsonl with an instruction or a prompt in each line",
    )
    answer.add_argument("--max-tokens", type=int, default=2048)
    answer.add_argument("--temperature", type=float, default=0.0)
    answer.add_argument("--refine", type=json.loads, default={}, help="refine options, as JSON")

    judge = add("judge", judge_step, "have a judge compare the answers with the reference's")
    _endpoint_options(judge)
    judge.add_argument("--reference", type=Path, required=True, help="answers.json of a system")
    judge.add_argument("--answers", type=Path, help="default: answers.json under --out")
    judge.add_argument("--both-orders", action="store_true", help="ask twice, take the mean")
    judge.add_argument("--top-logprobs", type=int, default=5)
    judge.add_argument("--least-mass", type=float, default=0.5)
    judge.add_argument(
        "--max-unjudged", type=float, default=0.01, help="share above which the exit code is 1"
    )

    score = add("score", score_step, "win rates of annotation files")
    score.add_argument("files", type=Path, nargs="+")
    compare = add("compare", compare_step, "two systems on the same instructions")
    compare.add_argument("files", type=Path, nargs=2)
    verify = add("verify", verify_step, "recompute published figures from their annotations")
    verify.add_argument("files", type=Path, nargs="+")
    verify.add_argument("--published", type=Path, required=True, help=".csv leaderboard or .json")
    verify.add_argument(
        "--lc-column", default="length_controlled_winrate", help="what the LC rate must be"
    )
    return top


def _adder(steps: argparse._SubParsersAction[argparse.ArgumentParser]):  # type: ignore[no-untyped-def]
    def add(name, step, about):  # type: ignore[no-untyped-def]
        formatter = argparse.ArgumentDefaultsHelpFormatter
        found = steps.add_parser(name, help=about, description=about, formatter_class=formatter)
        found.set_defaults(step=step)
        found.add_argument("--out", type=Path, default=Path("runs/winrate"))
        found.add_argument("--seed", type=int, default=0)
        found.add_argument("--gamed", type=Path, default=SHIPPED, help="df_gamed.csv")
        found.add_argument("--resamples", type=int, default=RESAMPLES, help="for the LC interval")
        return found

    return add


def _endpoint_options(step: argparse.ArgumentParser) -> None:
    endpoint_options.add_url(step)
    step.add_argument("--model", required=True)
    endpoint_options.add(step)
    step.add_argument("--limit", type=int, help="only so many instructions")


def answer_step(options: argparse.Namespace) -> int:
    asking = Asking(options.max_tokens, options.temperature, options.seed, options.refine)
    instructions = read_instructions(options.instructions)[: options.limit]
    records, failures = asyncio.run(
        answer_all(
            instructions,
            endpoint_options.endpoint(options, options.model),
            asking,
            options.out / "answers.jsonl",
            options.concurrency,
        )
    )
    answers = [Answer(r["instruction"], r["output"], r["dataset"], options.model) for r in records]
    write_answers(options.out / "answers.json", answers)
    cut = sum(r["finish_reason"] == "length" for r in records)
    spent = [(r["usage"] or {}).get("completion_tokens", 0) for r in records]
    figures = {
        "answers": len(answers),
        "cut_short": cut,
        "mean_characters": sum(len(a.output) for a in answers) / max(1, len(answers)),
        "mean_completion_tokens": sum(spent) / max(1, len(spent)),
    }
    about = "Answers of one system, by which others can be judged or which can be judged."
    publish(Result("answering", about, _config(options), figures, failures), options.out)
    return 1 if failures else 0


def judge_step(options: argparse.Namespace) -> int:
    policy = JudgePolicy(
        options.seed, options.both_orders, options.top_logprobs, options.least_mass
    )
    references = read_answers(options.reference)[: options.limit]
    answers = read_answers(options.answers or options.out / "answers.json")
    if options.limit:
        kept = {reference.instruction for reference in references}
        answers = [answer for answer in answers if answer.instruction in kept]
    verdicts = options.out / "verdicts.jsonl"
    endpoint = endpoint_options.endpoint(options, options.model)
    work = annotate(references, answers, endpoint, policy, verdicts, options.concurrency)
    try:
        annotations, failures = asyncio.run(work)
    except OtherInstructions as error:
        print(error, file=sys.stderr)
        return 2
    allowed = options.max_unjudged * len(annotations)
    if sum(a.preference is not None for a in annotations) < 2:
        print(f"nothing was judged: {dict(failures)}", file=sys.stderr)
        return 1
    _report(options, {options.out.name: annotations}, failures)
    unjudged = failures.total()
    if unjudged > allowed:
        print(f"{unjudged} are unjudged; the limit is {allowed:g}", file=sys.stderr)
    return 1 if unjudged > allowed else 0


def score_step(options: argparse.Namespace) -> int:
    found = {name_of(path): read_annotations(path) for path in options.files}
    unjudged = {
        name: missing
        for name, rows in found.items()
        if (missing := sum(a.preference is None for a in rows))
    }
    _report(options, found, unjudged)
    return 0


def _report(
    options: argparse.Namespace,
    found: dict[str, list[Annotation]],
    failures: dict[str, int],
) -> None:
    gamed = read_gamed(options.gamed)
    rates = {
        name: win_rate(rows, gamed, options.resamples, options.seed) for name, rows in found.items()
    }
    intervals = {}
    for name, rate in rates.items():
        intervals[name] = rate.interval
        if rate.controlled:
            intervals[f"{name}, length-controlled"] = rate.controlled.interval
    plot = bars(options.out / "winrate.svg", intervals, "win rate against the reference, %", 50)
    figures = {name: rate.json() for name, rate in rates.items()}
    about = "Win rate against the reference's answers, raw and length-controlled."
    tables = (_rate_table(rates),)
    result = Result("winrate", about, _config(options), figures, failures, tables, (plot,))
    publish(result, options.out)


def _rate_table(rates: dict[str, WinRate]) -> Table:
    rows = tuple(
        (
            name,
            rate.interval,
            rate.standard_error,
            rate.controlled.interval if rate.controlled else rate.controlled_rate,
            rate.controlled.standard_error if rate.controlled else None,
            f"{rate.wins}/{rate.ties}/{rate.losses}",
            rate.unjudged,
            round(rate.length),
        )
        for name, rate in rates.items()
    )
    columns = ("system", "win %", "s.e.", "LC win %", "s.e.", "w/t/l", "unjudged", "characters")
    reasons = (f"No LC rate of {n}: {r.uncontrolled}." for n, r in rates.items() if r.uncontrolled)
    note = " ".join(["95% bootstrap intervals over instructions.", *reasons])
    return Table("Win rate", columns, rows, note)


def compare_step(options: argparse.Namespace) -> int:
    ours, theirs = (read_annotations(path) for path in options.files)
    names = [name_of(path) for path in options.files]
    found = compare_win_rates(ours, theirs, options.seed)
    about = f"{names[0]} against {names[1]}, paired by instruction."
    columns = ("systems", "win-rate points", "better/equal/worse", "p (sign test)")
    counts = f"{found.wins}/{found.ties}/{found.losses}"
    title = f"{names[0]} minus {names[1]}"
    table = Table(title, columns, ((title, found.difference, counts, found.p_value),))
    left_out = max(len(ours), len(theirs)) - found.difference.n
    failures = {"in_one_only": left_out} if left_out else {}
    result = Result("compare", about, _config(options), found.json(), failures, (table,))
    publish(result, options.out)
    return 0


def _config(options: argparse.Namespace) -> dict[str, object]:
    return {key: value for key, value in vars(options).items() if key != "step"}
