"""Do feedback scores agree with people? Preference accuracy on HH-RLHF, through /v1/feedback.

    redraft bench agreement --data DIR/*.jsonl.gz --url URL --model redraft --pairs 500

Each pair is one conversation with an answer people chose and one they rejected. Both are scored
apart; the pair is right when the chosen one scores higher. A tie counts as wrong, as in the paper
(Table 5), and is reported apart as well. A pair with an answer that got no score is in no rate.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redraft.benchmarks.load import endpoint_options
from redraft.benchmarks.load.endpoint import CallFailed
from redraft.benchmarks.load.pool import work_through
from redraft.benchmarks.output.journal import Journal
from redraft.benchmarks.output.plots import bars
from redraft.benchmarks.output.results import Result, Table, publish
from redraft.benchmarks.stats.intervals import Interval, wilson
from redraft.server import jsonl

TURN = re.compile(r"\n\n(Human|Assistant): ?")
ROLES = {"Human": "user", "Assistant": "assistant"}

Message = dict[str, str]


@dataclass(frozen=True, slots=True)
class Side:
    """A conversation and the answer that ends it."""

    messages: tuple[Message, ...]
    response: str

    @property
    def key(self) -> str:
        return json.dumps([self.messages, self.response])


@dataclass(frozen=True, slots=True)
class Pair:
    source: str
    chosen: Side
    rejected: Side


@dataclass(frozen=True, slots=True)
class Agreement:
    right: int
    ties: int
    wrong: int

    @property
    def accuracy(self) -> Interval:
        """Ties are wrong."""
        return wilson(self.right, self.right + self.ties + self.wrong).scaled(100)

    @property
    def without_ties(self) -> Interval:
        return wilson(self.right, self.right + self.wrong).scaled(100)

    @property
    def tie_share(self) -> Interval:
        return wilson(self.ties, self.right + self.ties + self.wrong).scaled(100)

    @property
    def half_ties(self) -> Interval:
        return wilson(self.right + self.ties / 2, self.right + self.ties + self.wrong).scaled(100)

    def json(self) -> dict[str, Any]:
        return {
            "accuracy": self.accuracy.json(),
            "without_ties": self.without_ties.json(),
            "ties_half": self.half_ties.json(),
            "tie_share": self.tie_share.json(),
            "right": self.right,
            "ties": self.ties,
            "wrong": self.wrong,
        }


def main(arguments: Sequence[str]) -> int:
    options = parser().parse_args(arguments)
    pairs = [pair for path in options.data for pair in read_pairs(path)]
    random.Random(options.seed).shuffle(pairs)
    pairs = pairs[: options.pairs]
    scores, failures = asyncio.run(score_all(pairs, options))
    sources = {pair.source for pair in pairs}
    found = {"all": agreement(pairs, scores)}
    if len(sources) > 1:
        found |= {
            source: agreement([pair for pair in pairs if pair.source == source], scores)
            for source in sorted(sources)
        }
    _report(options, found, failures, pairs, scores)
    return 1 if failures.total() > options.max_failed * 2 * len(pairs) else 0


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="redraft bench agreement",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--data", type=Path, nargs="+", required=True, help="HH-RLHF, .jsonl or .gz")
    endpoint_options.add_url(top)
    top.add_argument("--model", required=True)
    top.add_argument("--critic", help="the configured engine that writes the feedback")
    top.add_argument("--pairs", type=int, default=500, help="how many, drawn by seed")
    top.add_argument("--seed", type=int, default=0)
    endpoint_options.add(top)
    top.add_argument("--max-failed", type=float, default=0.01, help="share of calls that may fail")
    top.add_argument("--out", type=Path, default=Path("runs/agreement"))
    return top


def read_pairs(path: Path) -> Iterator[Pair]:
    for row in jsonl.read(path):
        chosen, rejected = read_side(row["chosen"]), read_side(row["rejected"])
        # A few rows end with an empty answer or with the person: nothing there can be scored.
        if chosen and rejected and chosen != rejected:
            yield Pair(path.name.partition(".")[0], chosen, rejected)


def read_side(transcript: str) -> Side | None:
    parts = TURN.split(transcript)[1:]
    turns = [
        {"role": ROLES[speaker], "content": said.strip()}
        for speaker, said in zip(parts[::2], parts[1::2], strict=True)
    ]
    if len(turns) < 2 or turns[-1]["role"] != "assistant" or not turns[-1]["content"]:
        return None
    return Side(tuple(turns[:-1]), turns[-1]["content"])


async def score_all(
    pairs: Sequence[Pair], options: argparse.Namespace
) -> tuple[dict[str, int], Counter[str]]:
    """The score of every side that got one, by its key; what failed, by reason."""
    endpoint = endpoint_options.endpoint(options, options.model)
    sides = {side.key: side for pair in pairs for side in (pair.chosen, pair.rejected)}
    names = {
        key: hashlib.sha256(f"{options.model}/{options.critic}/{key}".encode()).hexdigest()[:24]
        for key in sides
    }
    with Journal(options.out / "scores.jsonl") as journal:
        async with endpoint.session() as session:

            async def one(key: str) -> None:
                side = sides[key]
                body = {"model": options.model, "messages": side.messages}
                body |= {"response": side.response}
                body |= {"critic": options.critic} if options.critic else {}
                reply = await session.post("feedback", body)
                if reply.get("score") is None:
                    raise CallFailed("no_score", str(reply.get("feedback"))[:160])
                journal.add(names[key], {"score": reply["score"], "feedback": reply["feedback"]})

            missing = [key for key in sides if names[key] not in journal]
            failures = await work_through(missing, one, options.concurrency, "scores")
        scores = {
            key: int(journal.records[name]["score"])
            for key, name in names.items()
            if name in journal
        }
    return scores, failures


def agreement(pairs: Sequence[Pair], scores: dict[str, int]) -> Agreement:
    outcomes = Counter(
        _sign(scores[pair.chosen.key] - scores[pair.rejected.key])
        for pair in pairs
        if pair.chosen.key in scores and pair.rejected.key in scores
    )
    return Agreement(outcomes[1], outcomes[0], outcomes[-1])


def _sign(difference: int) -> int:
    return (difference > 0) - (difference < 0)


def _report(
    options: argparse.Namespace,
    found: dict[str, Agreement],
    failures: Counter[str],
    pairs: Sequence[Pair],
    scores: dict[str, int],
) -> None:
    rows = tuple(
        (name, each.accuracy, each.tie_share, each.without_ties, each.half_ties, each.accuracy.n)
        for name, each in found.items()
    )
    columns = ("pairs", "right %, ties wrong", "ties %", "right % of the rest", "ties half", "n")
    table = Table(f"Agreement with people, {options.model}", columns, rows, "95% Wilson intervals.")
    plot = bars(
        options.out / "agreement.svg",
        {name: each.accuracy for name, each in found.items()},
        "pairs where the chosen answer scores higher, %",
        50,
    )
    samples = [
        {
            "source": pair.source,
            "chosen": scores.get(pair.chosen.key),
            "rejected": scores.get(pair.rejected.key),
        }
        for pair in pairs
    ]
    figures = {name: each.json() for name, each in found.items()}
    about = "Preference accuracy of feedback scores on HH-RLHF."
    config = vars(options)
    result = Result("agreement", about, config, figures, failures, (table,), (plot,), samples)
    publish(result, options.out)
