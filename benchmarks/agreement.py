"""Do feedback scores agree with people? Preference accuracy on HH-RLHF, through /v1/feedback.

    redraft bench agreement --data DIR/*.jsonl.gz --url URL --model redraft --pairs 500

Each pair is one conversation with an answer people chose and one they rejected. Both are scored
apart; the pair is right when the chosen one scores higher. A tie counts as wrong, as in the paper
(Table 5), and is reported apart as well. A pair with an answer that got no score is in no rate, and
a pair that is there twice counts once.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from redraft.benchmarks.commands.options import ServerOptions, read
from redraft.benchmarks.load.endpoint import CallFailed, Session
from redraft.benchmarks.load.recorded import key_of, record_all
from redraft.benchmarks.output.journal import Record
from redraft.benchmarks.output.plots import bars
from redraft.benchmarks.output.results import Cell, Result, Table, publish
from redraft.benchmarks.stats.intervals import Interval, wilson
from redraft.server import jsonl
from redraft.server.jsonl import FileError
from redraft.server.options import option

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
class HumanPreference:
    source: str
    chosen: Side
    rejected: Side


@dataclass(frozen=True, slots=True)
class Accuracy:
    right: int
    ties: int
    wrong: int

    @property
    def percentages(self) -> dict[str, Interval]:
        """``accuracy`` counts a tie as wrong."""
        scored = self.right + self.ties + self.wrong
        return {
            "accuracy": wilson(self.right, scored).scaled(100),
            "without_ties": wilson(self.right, self.right + self.wrong).scaled(100),
            "ties_half": wilson(self.right + self.ties / 2, scored).scaled(100),
            "tie_share": wilson(self.ties, scored).scaled(100),
        }


@dataclass(frozen=True, kw_only=True)
class AccuracyOptions(ServerOptions):
    data: tuple[Path, ...] = option("HH-RLHF files, .jsonl or .jsonl.gz")
    critic: str | None = option("the configured engine that writes the feedback", None)
    pairs: int = option("how many, drawn by seed", 500, least=1)
    seed: int = option("of the draw", 0)
    max_failed: float = option("share of calls that may fail", 0.01)
    out: Path = option("folder for the results", Path("runs/agreement"))


def main(arguments: Sequence[str]) -> int:
    options = read(AccuracyOptions, "agreement", arguments, __doc__)
    read_in = [pair for path in options.data for pair in read_pairs(path)]
    if not read_in:
        raise FileError(f"{', '.join(map(str, options.data))} hold no pair that can be scored")
    distinct: dict[tuple[str, str], HumanPreference] = {}
    for pair in read_in:
        distinct.setdefault((pair.chosen.key, pair.rejected.key), pair)
    pairs = list(distinct.values())
    copies = len(read_in) - len(pairs)
    random.Random(options.seed).shuffle(pairs)
    pairs = pairs[: options.pairs]
    scores, failures = asyncio.run(score_all(pairs, options))
    groups = {"all": pairs}
    if len(sources := sorted({pair.source for pair in pairs})) > 1:
        groups |= {source: [p for p in pairs if p.source == source] for source in sources}
    accuracies = {name: agreement(group, scores) for name, group in groups.items()}
    _report(options, accuracies, failures, pairs, scores, copies)
    return 1 if failures.total() > options.max_failed * 2 * len(pairs) else 0


def read_pairs(path: Path) -> Iterator[HumanPreference]:
    for line in jsonl.lines(path):
        row = line.row()
        if not all(isinstance(row.get(side), str) for side in ("chosen", "rejected")):
            raise line.error('"chosen" and "rejected", both transcripts')
        chosen, rejected = read_side(row["chosen"]), read_side(row["rejected"])
        # A few rows end with an empty answer or with the person: nothing there can be scored.
        if chosen and rejected and chosen != rejected:
            yield HumanPreference(path.name.partition(".")[0], chosen, rejected)


def read_side(transcript: str) -> Side | None:
    parts = TURN.split(transcript)[1:]
    turns = [
        {"role": ROLES[speaker], "content": text.strip()}
        for speaker, text in zip(parts[::2], parts[1::2], strict=True)
    ]
    if len(turns) < 2 or turns[-1]["role"] != "assistant" or not turns[-1]["content"]:
        return None
    return Side(tuple(turns[:-1]), turns[-1]["content"])


async def score_all(
    pairs: Sequence[HumanPreference], options: AccuracyOptions
) -> tuple[dict[str, int], Counter[str]]:
    """Scores by the key of their side, and the failures by reason."""
    sides = {side.key: side for pair in pairs for side in (pair.chosen, pair.rejected)}
    keys = {key: key_of(f"{options.model}/{options.critic}/{key}") for key in sides}

    async def score(session: Session, side: Side) -> Record:
        body = {"model": options.model, "messages": side.messages, "response": side.response}
        body |= {"critic": options.critic} if options.critic else {}
        reply = await session.post("feedback", body)
        if reply.get("score") is None:
            raise CallFailed("no_score", str(reply.get("feedback"))[:160])
        return {"score": reply["score"], "feedback": reply["feedback"]}

    records, failures = await record_all(
        {keys[key]: side for key, side in sides.items()},
        score,
        options.endpoint(options.url, options.model),
        options.out / "scores.jsonl",
        options.concurrency,
        "scores",
    )
    scores = {key: int(records[name]["score"]) for key, name in keys.items() if name in records}
    return scores, failures


def agreement(pairs: Sequence[HumanPreference], scores: dict[str, int]) -> Accuracy:
    gaps = [
        scores[pair.chosen.key] - scores[pair.rejected.key]
        for pair in pairs
        if pair.chosen.key in scores and pair.rejected.key in scores
    ]
    return Accuracy(sum(gap > 0 for gap in gaps), gaps.count(0), sum(gap < 0 for gap in gaps))


def _report(
    options: AccuracyOptions,
    accuracies: dict[str, Accuracy],
    failures: Counter[str],
    pairs: Sequence[HumanPreference],
    scores: dict[str, int],
    copies: int,
) -> None:
    percentages = {name: each.percentages for name, each in accuracies.items()}
    shown = ("accuracy", "tie_share", "without_ties", "ties_half")
    rows: list[tuple[Cell, ...]] = [
        (name, *(each[figure] for figure in shown), each["accuracy"].n)
        for name, each in percentages.items()
    ]
    columns = ("pairs", "right %, ties wrong", "ties %", "right % of the rest", "ties half", "n")
    note = "95% Wilson intervals."
    if copies:
        note += f" {copies} pairs are copies of others and count once."
    table = Table(f"Agreement with people, {options.model}", columns, tuple(rows), note)
    plot = bars(
        options.out / "agreement.svg",
        {name: each["accuracy"] for name, each in percentages.items()},
        "pairs where the chosen answer scores higher, %",
        50,
    )
    samples = [
        {
            "source": p.source,
            "chosen": scores.get(p.chosen.key),
            "rejected": scores.get(p.rejected.key),
        }
        for p in pairs
    ]
    figures: dict[str, Any] = {
        name: {**percentages[name], **asdict(each)} for name, each in accuracies.items()
    }
    figures["copies"] = copies
    about = "Preference accuracy of feedback scores on HH-RLHF."
    config, tables, plots = asdict(options), (table,), (plot,)
    publish(
        Result("agreement", about, config, figures, failures, tables, plots, samples), options.out
    )
