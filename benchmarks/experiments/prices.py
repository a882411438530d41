"""Published prices of judging answers, each with its source; every one is an option."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class Input:
    option: str
    what: str
    default: float | None
    source: str  # of the default

    @property
    def name(self) -> str:
        return self.option.removeprefix("--").replace("-", "_")


INPUTS = (
    Input("--human-price", "$ for 1,000 comparisons by people", 300.0, ALPACA_EVAL),
    Input("--human-seconds", "seconds for 1,000 comparisons by people", 36_800.0, ALPACA_EVAL),
    Input(
        "--human-agreement",
        "% in which one of them agrees with the others",
        65.7,
        ALPACA_EVAL,
    ),
    Input("--judge-price", "$ for 1,000 comparisons by GPT-4", 12.5, ALPACA_EVAL),
    Input("--judge-seconds", "seconds for 1,000 comparisons by GPT-4", 1217.5, ALPACA_EVAL),
    Input("--judge-agreement", "% in which GPT-4 agrees with people", 66.6, ALPACA_EVAL),
    Input("--critic-price-in", "$ for a million prompt tokens of the critic's API", 10.0, DEVDAY),
    Input("--critic-price-out", "$ for a million tokens it generates", 30.0, DEVDAY),
    Input("--price-in", "$ for a million prompt tokens of this deployment", None, YOURS),
    Input("--price-out", "$ for a million tokens it generates", None, YOURS),
    Input("--machine-price", "$ for an hour of the machine it runs on", None, YOURS),
    Input("--pair-prompt-tokens", "prompt tokens for a usable pair", None, MEASURED),
    Input("--pair-tokens", "tokens generated for a usable pair", None, MEASURED),
    Input("--pairs", "labelled pairs that are needed", 63_000.0, PAPER),
)


def add_options(top: argparse.ArgumentParser) -> None:
    for each in INPUTS:
        default = "none" if each.default is None else f"{each.default:g}, {each.source}"
        told = f"{each.what} (default: {default})".replace("%", "%%")
        top.add_argument(each.option, type=float, default=each.default, help=told)


def given(options: argparse.Namespace) -> Iterator[tuple[Input, float | None, str]]:
    """Every input, its value, and where that is from."""
    for each in INPUTS:
        value = getattr(options, each.name)
        yield each, value, each.source if value == each.default else "given"
