"""Published prices of judging answers, each with its source; every one is an option."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

from redraft.server.options import flag, option

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
class PriceOptions:
    """What judgements and tokens cost."""

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


@dataclass(frozen=True, slots=True)
class Input:
    flag: str
    about: str
    value: float | None
    source: str


def inputs(options: PriceOptions) -> Iterator[Input]:
    """Every price with its value and the source of that value."""
    for field in fields(PriceOptions):
        value = getattr(options, field.name)
        source = SOURCES[field.name] if value == field.default else "given"
        yield Input(flag(field.name), field.metadata["help"], value, source)
