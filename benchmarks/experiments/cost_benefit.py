"""What preferences cost by refining and by asking people, and what a better answer costs.

    redraft bench experiments cost-benefit --workbench models/redraft-workbench
    redraft bench experiments cost-benefit ... --price-in 0.2 --price-out 0.6 --pairs 10000

Refining makes a labelled pair by itself: the draft is rejected and the refinement chosen where
its own score, given in a fresh context, is higher. Tokens and time of that are measured here; what
people and a strong model take is published. Every price is printed with its source, and is an
option.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from redraft.benchmarks.commands.options import read
from redraft.benchmarks.experiments import prices
from redraft.benchmarks.experiments.prices import PriceOptions
from redraft.benchmarks.experiments.setting import ExperimentOptions, Setting, conduct
from redraft.benchmarks.grading.ways import DIRECT, Way, refining
from redraft.benchmarks.grading.weighing import Answered, Answers, Weighed, samples, weigh
from redraft.benchmarks.output.plots import bars
from redraft.benchmarks.output.results import Cell, Result, Table
from redraft.benchmarks.stats.intervals import Interval, wilson

# Scored again after refining, in a fresh context (section 4.1 of the paper).
PAIRING = "refined and scored"
WAYS: dict[str, Way] = {"direct": DIRECT, "refined": refining(1), PAIRING: refining(1, keep="best")}
MILLION, HOUR_S = 1e6, 3600.0


@dataclass(frozen=True, kw_only=True)
class CostBenefitOptions(PriceOptions, ExperimentOptions):
    pass


def main(arguments: Sequence[str]) -> int:
    options = read(CostBenefitOptions, "experiments cost-benefit", arguments, __doc__)
    return conduct(options, measure)


@dataclass(frozen=True, slots=True)
class Source:
    """A source of labelled pairs, and what one usable pair of it costs."""

    name: str
    money: float | None
    seconds: float | None
    right: Interval | float  # percent of its labels
    tokens: float | None = None


def measure(setting: Setting[CostBenefitOptions]) -> Result:
    options = setting.options
    answers = setting.ask(WAYS)
    weighed = weigh(answers, options.seed)
    pairs = [pair for pair in answers[PAIRING].values() if is_pair(pair)]
    usable = wilson(len(pairs), len(answers[PAIRING])).scaled(100)
    sources = _sources(answers[PAIRING], pairs, options)
    priced = {each.name: each.money for each in sources if each.money}
    shown = {
        name: Interval(money * 1000, money * 1000, money * 1000, 1)
        for name, money in priced.items()
    }
    plot = bars(options.out / "cost-benefit.svg", shown, "$ for 1,000 usable pairs")
    figures: dict[str, Any] = {
        "usable_pairs": usable,
        "pairs": {each.name: _figures(each) for each in sources},
        "answers": {name: each.json() for name, each in weighed.items() if name != PAIRING},
        "inputs": {each.flag: each.value for each in prices.inputs(options)},
    }
    tables = (
        _pairs_table(sources, usable, options),
        _answers_table(weighed, options),
        _inputs_table(options),
    )
    about = "Tokens, money and time of refining against published prices of human judgement."
    return setting.result("cost-benefit", about, WAYS, figures, tables, (plot,), samples(answers))


def is_pair(answered: Answered) -> bool:
    """The refinement differs from the draft and scores higher: a chosen and a rejected one."""
    reply = answered.reply
    scores = [score for score in reply.scores if score is not None]
    responses = [response.strip() for response in reply.responses]
    if len(scores) != 2 or len(responses) != 2:
        return False
    return scores[0] < scores[1] and responses[0] != responses[1]


def _sources(
    answers: Answers, pairs: Sequence[Answered], options: CostBenefitOptions
) -> list[Source]:
    judged = options.human_agreement, options.judge_agreement
    return [
        Source("people", options.human_price / 1000, options.human_seconds / 1000, judged[0]),
        Source(
            "GPT-4 as judge", options.judge_price / 1000, options.judge_seconds / 1000, judged[1]
        ),
        *(_refining(answers, pairs, options) if pairs else ()),
    ]


def _refining(
    answers: Answers, pairs: Sequence[Answered], options: CostBenefitOptions
) -> Iterator[Source]:
    """Sources that refine. Prompts that give no pair are paid for as well."""
    told_apart = [pair for pair in pairs if pair.course[0] is not pair.course[1]]
    right = wilson(sum(pair.course[1] for pair in told_apart), len(told_apart)).scaled(100)
    each = len(answers) / len(pairs)  # prompts for a pair
    prompt, written = options.pair_prompt_tokens, options.pair_tokens
    if prompt is None:
        prompt = each * fmean(a.reply.prompt_tokens for a in answers.values())
    if written is None:
        written = each * fmean(a.reply.tokens for a in answers.values())
    seconds = each * fmean(a.reply.seconds for a in answers.values()) / options.concurrency
    tokens = prompt + written
    critic = (prompt * options.critic_price_in + written * options.critic_price_out) / MILLION
    yield Source("refining, at the price of the paper's critic", critic, None, right, tokens)
    here = _money(options, prompt, written, seconds)
    yield Source("refining, this deployment", here, seconds, right, tokens)


def _money(
    options: CostBenefitOptions, prompt: float, written: float, seconds: float
) -> float | None:
    """The price of the tokens if they have one, else of the machine's time."""
    if options.price_in is not None and options.price_out is not None:
        money: float = (prompt * options.price_in + written * options.price_out) / MILLION
        return money
    if options.machine_price is not None:
        return float(seconds * options.machine_price / HOUR_S)
    return None


def dollars(each: float | None, number: float) -> str | None:
    if each is None:
        return None
    total = each * number
    return f"{total:,.2f}" if total < 100 else f"{total:,.0f}"


def _figures(source: Source) -> dict[str, Any]:
    return {
        "dollars_each": source.money,
        "seconds_each": source.seconds,
        "tokens_each": source.tokens,
        "labels_right": source.right,
    }


def _pairs_table(sources: Sequence[Source], usable: Interval, options: CostBenefitOptions) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for each in sources:
        hours = None if each.seconds is None else each.seconds * options.pairs / HOUR_S
        tokens = None if each.tokens is None else round(each.tokens)
        money = (dollars(each.money, 1000), dollars(each.money, options.pairs))
        time = None if hours is None else f"{hours:,.1f}"
        rows.append((each.name, tokens, *money, time, each.right))
    total = f"{options.pairs:,.0f}"
    columns = ("labels by", "tokens a pair", "$ for 1,000 pairs", f"$ for {total}")
    note = (
        f"Of {usable.n} prompts, {usable.shown()}% gave a pair that can be used: the refinement "
        "differs and scores higher. Labels right: for refining, of the pairs of one right and one "
        "wrong response, those whose chosen is the right one; for people and GPT-4, published "
        "agreement with people on open-ended answers, so not the same question. Texts here are "
        f"as long as this model's. Time here: this machine, {options.concurrency} at once."
    )
    return Table(
        "Labelled pairs", (*columns, f"hours for {total}", "labels right %"), tuple(rows), note
    )


def _answers_table(weighed: Mapping[str, Weighed], options: CostBenefitOptions) -> Table:
    rows: list[tuple[Cell, ...]] = []
    direct = weighed["direct"]
    for name in ("direct", "refined"):
        each = weighed[name]
        replies = [answered.reply for answered in each.answers.values()]
        seconds = fmean(reply.seconds for reply in replies) / options.concurrency
        prompt = fmean(reply.prompt_tokens for reply in replies)
        money = _money(options, prompt, each.tokens.estimate, seconds)
        more = each.gain.difference.estimate / 100
        dear = each.tokens.estimate - direct.tokens.estimate
        shown = (round(prompt, 1), each.tokens, f"{seconds * 1000:.3g}", dollars(money, 1000))
        rows.append((name, each.right, *shown, f"{dear / more:,.0f}" if more > 0 else None))
    columns = ("answers", "right %", "prompt tokens", "tokens generated", "ms an answer")
    note = "The last column: tokens generated beyond direct answers, for each answer more right."
    more_columns = ("$ for 1,000", "tokens for one more right")
    return Table("Answers", (*columns, *more_columns), tuple(rows), note)


def _inputs_table(options: CostBenefitOptions) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (each.flag, each.about, None if each.value is None else f"{each.value:,.10g}", each.source)
        for each in prices.inputs(options)
    ]
    return Table("What was put in", ("option", "what", "value", "source"), tuple(rows))
