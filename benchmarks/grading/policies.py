"""Replays loops that ran to their end under other policies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from redraft.benchmarks.grading.weighing import Answered
from redraft.server.refine.manifest import DefaultPolicy

# None: no score ends the loop. Last, since a gate costs nothing where it is never reached.
GATES = (10, 9, 8, 7, 6, None)


OFF = DefaultPolicy(0)


@dataclass(frozen=True, slots=True)
class Loop:
    """One loop: responses from the draft on, with feedback between them."""

    right: tuple[bool, ...]
    tokens: tuple[int, ...]  # of each response
    scores: tuple[int | None, ...]  # of each feedback; the last response may have none
    feedback_tokens: float  # of one feedback, in the mean

    @classmethod
    def of(cls, answered: Answered) -> Self:
        reply = answered.reply
        each = reply.feedback_tokens / max(1, len(reply.scores))
        return cls(answered.course, reply.response_tokens, reply.scores, each)


@dataclass(frozen=True, slots=True)
class Tried:
    policy: DefaultPolicy
    right: int
    tokens: float

    @property
    def name(self) -> str:
        iterations, gate = self.policy.max_iterations, self.policy.good_enough
        if not iterations:
            return "off"
        return f"{iterations} iteration{'s' * (iterations > 1)}{f', until {gate}' if gate else ''}"


def candidates(max_iterations: int) -> list[DefaultPolicy]:
    """Strictest gate first, so that it is preferred among equals."""
    steps = range(1, max_iterations + 1)
    return [DefaultPolicy(iterations, gate) for iterations in steps for gate in GATES]


def outcome(loop: Loop, policy: DefaultPolicy) -> tuple[bool, float]:
    """Whether the answer is right, and its cost in tokens."""
    at, cost = 0, float(loop.tokens[0])
    while at < policy.max_iterations and at < len(loop.scores):
        cost += loop.feedback_tokens
        score = loop.scores[at]
        if policy.good_enough and score is not None and score >= policy.good_enough:
            break
        if at + 1 == len(loop.right):
            break
        at += 1
        cost += loop.tokens[at]
    return loop.right[at], cost


def try_policy(loops: Sequence[Loop], policy: DefaultPolicy) -> Tried:
    outcomes = [outcome(loop, policy) for loop in loops]
    return Tried(policy, sum(right for right, _ in outcomes), sum(cost for _, cost in outcomes))


def cheapest_best(loops: Sequence[Loop], policies: Sequence[DefaultPolicy]) -> Tried:
    tried = [try_policy(loops, policy) for policy in policies]
    return min(tried, key=lambda each: (-each.right, each.tokens))
