"""A judge: which of two answers is better, as a probability read from its first token.

The judge may be any OpenAI-compatible server that gives log-probabilities. It names the better
answer with one letter, m or M. Which answer goes by which letter is drawn by seed and instruction,
so that a judge that likes the first place favours nobody; with both orders it is asked twice and
the mean counts. A judge that fails, refuses, gives no log-probabilities or answers anything else
has not judged: that is counted apart and is never a loss.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Any

from redraft.benchmarks.load.endpoint import CallFailed, Session

FIRST, SECOND = "m", "M"
LARGEST_LOGPROB = 0.01  # above 0 by what servers' rounding allows
SYSTEM = (
    "You compare answers that two language models gave to the same instruction, and you say which "
    "one most people who read both with care would prefer."
)
REQUEST = """\
Two models, known only as {first} and {second}, answered the instruction below.

## Instruction
{instruction}

## Answer of model {first}
{first_output}

## Answer of model {second}
{second_output}

## Your task
Decide which answer is the better one in the eyes of people: correct, helpful, to the point, and
doing what the instruction asks. The order of the two says nothing about them.
Reply with the name of the model whose answer is better, {first} or {second}, and nothing else: no
quotation marks, no spaces, no explanation.

## The model with the better answer"""


@dataclass(frozen=True, slots=True)
class JudgePolicy:
    seed: int = 0
    both_orders: bool = False
    top_logprobs: int = 5
    # What the two letters must share of the first token's probability: below it the judge was
    # about to say something else.
    least_mass: float = 0.5


@dataclass(frozen=True, slots=True)
class Verdict:
    preference: float  # 1 the reference won for sure, 2 the system did
    reference_first: tuple[bool, ...]  # of each order asked


class Judge:
    def __init__(self, session: Session, policy: JudgePolicy) -> None:
        self._session = session
        self._policy = policy

    async def verdict(self, instruction: str, reference: str, output: str) -> Verdict:
        """Raises CallFailed when the judge gives none."""
        drawn = reference_first(self._policy.seed, instruction)
        orders = (drawn, not drawn) if self._policy.both_orders else (drawn,)
        preferences = []
        for first in orders:
            answers = (reference, output) if first else (output, reference)
            share = await self._share_of_first(instruction, *answers)
            preferences.append(2 - share if first else 1 + share)
        return Verdict(math.fsum(preferences) / len(preferences), orders)

    async def _share_of_first(self, instruction: str, first: str, second: str) -> float:
        request = REQUEST.format(
            first=FIRST,
            second=SECOND,
            instruction=instruction,
            first_output=first,
            second_output=second,
        )
        body = {
            "model": self._session.endpoint.model,
            "messages": [
                {"role": "system", "content": SYSTEM},
                {"role": "user", "content": request},
            ],
            "max_tokens": 1,
            "temperature": 0,
            "logprobs": True,
            "top_logprobs": self._policy.top_logprobs,
        }
        reply = await self._session.post("chat/completions", body)
        return share_of_first(first_token(reply), self._policy.least_mass)


def reference_first(seed: int, instruction: str) -> bool:
    """Whether the reference is shown first. Depends on the instruction and not on its index, so
    that a resumed or partial run draws the same order."""
    return bool(hashlib.sha256(f"{seed}/{instruction}".encode()).digest()[0] & 1)


def first_token(reply: dict[str, Any]) -> list[tuple[str, float]]:
    """The likeliest first tokens with their log-probabilities."""
    try:
        candidates = reply["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
        tokens = [(str(each["token"]), float(each["logprob"])) for each in candidates]
    except (LookupError, TypeError, ValueError) as error:
        # Whatever is missing on the way there: a refusal has no content, many servers no logprobs.
        raise CallFailed(
            "no_logprobs", f"the judge's reply has none: {str(reply)[:160]}"
        ) from error
    if not all(logprob <= LARGEST_LOGPROB for _, logprob in tokens):
        raise CallFailed("no_logprobs", f"these are no log-probabilities: {str(tokens)[:160]}")
    return tokens


def share_of_first(tokens: list[tuple[str, float]], least_mass: float = 0.0) -> float:
    """P(first) / (P(first) + P(second)); CallFailed when the two have less than ``least_mass``."""
    mass = {FIRST: 0.0, SECOND: 0.0}
    for token, logprob in tokens:
        if token.strip() in mass:
            mass[token.strip()] += math.exp(logprob)
    total = mass[FIRST] + mass[SECOND]
    if not total or total < least_mass:
        likeliest = tokens[0][0] if tokens else ""
        raise CallFailed("no_verdict", f"the judge was going to say {likeliest!r}")
    return mass[FIRST] / total
