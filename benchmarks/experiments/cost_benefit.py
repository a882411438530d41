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
from dataclasses import dataclass, fields
from statistics import fmean
from typing import Any

from redraft.benchmarks.commands.options import read
from redraft.benchmarks.experiments.options import ExperimentOptions
from redraft.benchmarks.experiments.setting import Setting, conduct
from redraft.benchmarks.grading.ways import DIRECT, Way, refining
from redraft.benchmarks.grading.weighing import Answered, Answers, Weighed, samples, weigh
from redraft.benchmarks.output.plots import bars
from redraft.benchmarks.output.results import Cell, Result, Table
from redraft.benchmarks.stats.intervals import Interval, wilson
from redraft.server.options import flag, option

# Scored again after refining, in a fresh context (section 4.1 of the paper).
PAIRING = "refined and scored"
WAYS: dict[str, Way] = {"direct": DIRECT, "refined": refining(1), PAIRING: refining(1, keep="best")}
MILLION, HOUR_S = 1e6, 3600.0

ALPACA_EVAL = (
    "AlpacaEval, README, table of evaluators, at commit 00a2e17 "
    "(github.com/tatsu-lab/alpaca_eval): for 1,000 examples"
)
DEVDAY = (
    "OpenAI, 'New models and developer products announced at DevDay', 6 November 2023: GPT-4 "
    "Turbo, the paper's critic"
)
PAPER = "arXiv 2406.07168, section 4.1: pairs of its second stage"
YOURS = "yours to give; without it there is no sum"
MEASURED = "as measured here; give it for texts of another length"
PRICES = "prices"  # the group of options in --help


@dataclass(frozen=True, kw_only=True)
class CostBenefitOptions(ExperimentOptions):
    human_price: float = option("$ for 1,000 comparisons by people", 300.0, PRICES)
    human_seconds: float = option("seconds for 1,000 comparisons by people", 36_800.0, PRICES)
    human_agreement: float = option("% in which one of them agrees with the others", 65.7, PRICES)
    judge_price: float = option("$ for 1,000 comparisons by GPT-4", 12.5, PRICES)
    judge_seconds: float = option("seconds for 1,000 comparisons by GPT-4", 1217.5, PRICES)
    judge_agreement: float = option("% in which GPT-4 agrees with people", 66.6, PRICES)
    critic_price_in: float = option(
        "$ for a million prompt tokens of the critic's API", 10.0, PRICES
    )
    critic_price_out: float = option("$ for a million tokens it generates", 30.0, PRICES)
    price_in: float | None = option(
        "$ for a million prompt tokens of this deployment", None, PRICES
    )
    price_out: float | None = option("$ for a million tokens it generates", None, PRICES)
    machine_price: float | None = option("$ for an hour of the machine it runs on", None, PRICES)
    pair_prompt_tokens: float | None = option("prompt tokens for a usable pair", None, PRICES)
    pair_tokens: float | None = option("tokens generated for a usable pair", None, PRICES)
    pairs: float = option("labelled pairs that are needed", 63_000.0, PRICES)


# Of the defaults.
SOURCES = {
    **dict.fromkeys(("human_price", "human_seconds", "human_agreement"), ALPACA_EVAL),
    **dict.fromkeys(("judge_price", "judge_seconds", "judge_agreement"), ALPACA_EVAL),
    **dict.fromkeys(("critic_price_in", "critic_price_out"), DEVDAY),
    **dict.fromkeys(("price_in", "price_out", "machine_price"), YOURS),
    **dict.fromkeys(("pair_prompt_tokens", "pair_tokens"), MEASURED),
    "pairs": PAPER,
}


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

    def json(self) -> dict[str, Any]:
        return {
            "dollars_each": self.money,
            "seconds_each": self.seconds,
            "tokens_each": self.tokens,
            "labels_right": self.right,
        }


def measure(setting: Setting[CostBenefitOptions]) -> Result:
    options = setting.options
    answers = setting.ask(WAYS)
    weighed = weigh(answers, options.seed)
    pairs = [pair for pair in answers[PAIRING].values() if is_pair(pair)]
    usable = wilson(len(pairs), len(answers[PAIRING])).scaled(100)
    sources = _sources(answers[PAIRING], pairs, options)
    inputs = list(_inputs(options))
    shown = {
        each.name: Interval(each.money, each.money, each.money, 1).scaled(1000)
        for each in sources
        if each.money
    }
    plot = bars(options.out / "cost-benefit.svg", shown, "$ for 1,000 usable pairs")
    figures: dict[str, Any] = {
        "usable_pairs": usable,
        "pairs": {each.name: each.json() for each in sources},
        "answers": {name: each.json() for name, each in weighed.items() if name != PAIRING},
        "inputs": {name: value for name, _, value, _ in inputs},
    }
    tables = (
        _pairs_table(sources, usable, options),
        _answers_table(weighed, options),
        _inputs_table(inputs),
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
    people = (options.human_price / 1000, options.human_seconds / 1000, options.human_agreement)
    judge = (options.judge_price / 1000, options.judge_seconds / 1000, options.judge_agreement)
    refined = _refining(answers, pairs, options) if pairs else ()
    return [Source("people", *people), Source("GPT-4 as judge", *judge), *refined]


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
        return (prompt * options.price_in + written * options.price_out) / MILLION
    return None if options.machine_price is None else seconds * options.machine_price / HOUR_S


def dollars(each: float | None, number: float) -> str | None:
    if each is None:
        return None
    total = each * number
    return f"{total:,.2f}" if total < 100 else f"{total:,.0f}"


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


Input = tuple[str, str, float | None, str]  # option, what it is, value, source of the value


def _inputs(options: CostBenefitOptions) -> Iterator[Input]:
    for field in fields(options):
        if field.name in SOURCES:
            value = getattr(options, field.name)
            source = SOURCES[field.name] if value == field.default else "given"
            yield flag(field.name), field.metadata["help"], value, source


def _inputs_table(inputs: Sequence[Input]) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (name, about, None if value is None else f"{value:,.10g}", source)
        for name, about, value, source in inputs
    ]
    return Table("What was put in", ("option", "what", "value", "source"), tuple(rows))
