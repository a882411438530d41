"""Quality against compute: what an answer gains from refining, re-ranking or voting, per token.

    redraft bench compute labelled.jsonl --url URL --model NAME

Every way of answering is asked every labelled prompt (labelled.py says how they look). A way is a
name and refine options, or a number of drafts to vote among:

    --way 'refine-2={"max_iterations": 2}'  --way 'rerank-8={"drafts": 8, "max_iterations": 0}'
    --way 'vote-8={"vote": 8}'

The first way is the one the others are compared with, prompt by prompt. A run that was stopped
goes on; the same seed gives the same table.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.endpoint import CallFailed, Endpoint, Session
from benchmarks.intervals import Interval, mean_interval, wilson
from benchmarks.labelled import MATCHES, LabelledPrompt, read_labelled
from benchmarks.ledger import Ledger, Record
from benchmarks.pairs import compare, flips
from benchmarks.plots import scatter
from benchmarks.pool import work_through
from benchmarks.results import Cell, Result, Table, publish

Way = Mapping[str, Any]  # refine options, or {"vote": n}

WAYS: dict[str, Way] = {
    "direct": {"max_iterations": 0},
    **{f"refine-{k}": {"max_iterations": k, "keep": "last"} for k in (1, 2, 3, 4)},
    "refine-3, best": {"max_iterations": 3, "keep": "best"},
    "refine-3, until 10": {"max_iterations": 3, "keep": "last", "good_enough": 10},
    **{f"rerank-{n}": {"drafts": n, "max_iterations": 0, "keep": "best"} for n in (2, 4, 8)},
    **{f"vote-{n}": {"vote": n} for n in (4, 8)},
}
# Where a loop ended for another reason, the answer is not what the way would have given.
DECIDED = ("max_iterations", "good_enough", "no_change", "no_gain")


@dataclass(frozen=True, slots=True)
class Answered:
    right: bool
    tokens: int  # generated, all phases and drafts
    prompt_tokens: int


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    prompts = read_labelled(options.labelled)[: options.limit]
    ways = dict(map(_named, options.way)) if options.way else WAYS
    found, failures = asyncio.run(ask_all(prompts, ways, options))
    if not all(found.values()):
        empty = [name for name, answers in found.items() if not answers]
        print(f"no answers at all from: {', '.join(empty)}; {dict(failures)}", file=sys.stderr)
        return 1
    _report(options, ways, found, failures)
    return 1 if failures.total() > options.max_failed * len(prompts) * len(ways) else 0


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="redraft bench compute",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("labelled", type=Path)
    top.add_argument("--url", default="http://127.0.0.1:8000/v1")
    top.add_argument("--model", required=True)
    top.add_argument("--way", action="append", help="NAME=JSON; repeat it. Without: all built in")
    top.add_argument("--match", choices=list(MATCHES), default="exact", help="how answers compare")
    top.add_argument("--temperature", type=float, default=0.7, help="of drafts")
    top.add_argument("--limit", type=int, help="only so many prompts")
    top.add_argument("--seed", type=int, default=0)
    top.add_argument("--concurrency", type=int, default=8)
    top.add_argument("--timeout-s", type=float, default=600.0)
    top.add_argument("--retries", type=int, default=4)
    top.add_argument("--key-variable", default="OPENAI_API_KEY", help="holds the API key")
    top.add_argument("--max-failed", type=float, default=0.01, help="share that may fail")
    top.add_argument("--out", type=Path, default=Path("runs/compute"))
    return top


def _named(text: str) -> tuple[str, Way]:
    name, equals, content = text.partition("=")
    if not equals:
        raise SystemExit(f"--way: expected NAME=JSON, got {text!r}")
    return name, json.loads(content)


async def ask_all(
    prompts: Sequence[LabelledPrompt], ways: Mapping[str, Way], options: argparse.Namespace
) -> tuple[dict[str, dict[int, Answered]], Counter[str]]:
    """For each way its answers, by the place of the prompt."""
    endpoint = Endpoint(
        options.url, options.model, options.key_variable, options.timeout_s, options.retries
    )
    asked = [(name, place) for place in range(len(prompts)) for name in ways]

    def key(name: str, place: int) -> str:
        parts = [options.model, ways[name], prompts[place].prompt, options.temperature]
        content = json.dumps([*parts, options.seed], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:24]

    with Ledger(options.out / "answers.jsonl") as ledger:
        async with endpoint.session() as session:

            async def one(which: tuple[str, int]) -> None:
                name, place = which
                # A seed of its own for each prompt, the same for every way: paired in luck, too.
                seed = options.seed * 1_000_003 + place
                common = {"temperature": options.temperature, "seed": seed}
                body = {"model": options.model, "prompt": prompts[place].prompt, **common}
                ledger.add(key(name, place), await answer(session, ways[name], body))

            missing = [which for which in asked if key(*which) not in ledger]
            failures = await work_through(missing, one, options.concurrency, "answers")
        found: dict[str, dict[int, Answered]] = {name: {} for name in ways}
        for name, place in asked:
            if record := ledger.records.get(key(name, place)):
                right = prompts[place].is_right(record["answer"], options.match)
                spent = Answered(right, record["tokens"], record["prompt_tokens"])
                found[name][place] = spent
    return found, failures


async def answer(session: Session, way: Way, body: dict[str, Any]) -> Record:
    """One answer and its cost; a vote is the commonest of several drafts, the first of equals."""
    if "vote" not in way:
        return await _refined(session, {**body, **way})
    drafts = [
        await _refined(session, {**body, "max_iterations": 0, "seed": body["seed"] + 7919 * number})
        for number in range(way["vote"])
    ]
    votes = Counter(" ".join(draft["answer"].split()) for draft in drafts)
    chosen = max(drafts, key=lambda draft: votes[" ".join(draft["answer"].split())])
    costs = ("tokens", "prompt_tokens")
    return chosen | {cost: sum(draft[cost] for draft in drafts) for cost in costs}


async def _refined(session: Session, body: dict[str, Any]) -> Record:
    reply = await session.post("refine", body)
    if reply["stop_reason"] not in DECIDED:
        raise CallFailed(f"stopped_by_{reply['stop_reason']}", reply["id"])
    used = reply["usage"]
    costs = {"tokens": used["completion_tokens"], "prompt_tokens": used["prompt_tokens"]}
    return {"answer": reply["answer"], "iterations": reply["iterations"], **costs}


def _report(
    options: argparse.Namespace,
    ways: Mapping[str, Way],
    found: Mapping[str, Mapping[int, Answered]],
    failures: Counter[str],
) -> None:
    first = next(iter(ways))
    rows: list[tuple[Cell, ...]] = []
    figures: dict[str, Any] = {}
    points: dict[str, tuple[float, Interval]] = {}
    for name, answers in found.items():
        right = wilson(sum(a.right for a in answers.values()), len(answers)).scaled(100)
        tokens = mean_interval([float(a.tokens) for a in answers.values()], options.seed)
        both = [place for place in answers if place in found[first]]
        ours = [answers[place].right for place in both]
        theirs = [found[first][place].right for place in both]
        gain = compare([100.0 * o for o in ours], [100.0 * t for t in theirs], options.seed)
        flipped = flips(theirs, ours)
        rows.append(
            (
                name,
                right,
                tokens,
                gain.difference if name != first else None,
                f"{flipped.wrong_to_right}/{flipped.right_to_wrong}",
                flipped.p_value if name != first else None,
            )
        )
        points[name] = (tokens.estimate, right)
        figures[name] = {
            "right": right,
            "tokens": tokens,
            "prompt_tokens": fmean(a.prompt_tokens for a in answers.values()),
            "gain": gain.json(),
            "wrong_to_right": flipped.wrong_to_right,
            "right_to_wrong": flipped.right_to_wrong,
            "ways": dict(ways[name]),
        }
    columns = ("way", "right %", "tokens", f"gain on {first}, points", "mended/spoiled", "p")
    note = "Tokens generated for an answer, in the mean; p: McNemar's exact test. 95% intervals."
    table = Table("Quality against compute", columns, tuple(rows), note)
    plot = scatter(options.out / "compute.svg", points, ("tokens for an answer", "right, %"))
    samples = [
        {"way": name, "prompt": place, "right": a.right, "tokens": a.tokens}
        for name, answers in found.items()
        for place, a in answers.items()
    ]
    about = "What an answer gains from refining, re-ranking and voting, and what that costs."
    config = {**vars(options), "way": {name: dict(way) for name, way in ways.items()}}
    result = Result("compute", about, config, figures, failures, (table,), (plot,), samples)
    publish(result, options.out)


if __name__ == "__main__":
    sys.exit(main())
