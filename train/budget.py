"""What collecting may cost, and how fast it may ask: prices, the cost cap, rate limits."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

_MILLION = 1_000_000


class CostReached(Exception):
    """The next call could go over the cost cap. Everything paid for is on disk."""


@dataclass(frozen=True, slots=True)
class Price:
    """Money per million tokens."""

    prompt: float = 0.0
    completion: float = 0.0

    def of(self, prompt_tokens: int, completion_tokens: int) -> float:
        paid = prompt_tokens * self.prompt + completion_tokens * self.completion
        return paid / _MILLION


class Budget:
    """The cost cap of a run. A call reserves the most it can cost before it is made, so the cap
    holds whatever the calls under way turn out to cost."""

    def __init__(self, max_cost: float | None = None, spent: float = 0.0) -> None:
        self.max_cost = max_cost
        self.spent = spent
        self._reserved = 0.0

    def reserve(self, cost: float) -> None:
        at_most = self.spent + self._reserved + cost
        if self.max_cost is not None and at_most > self.max_cost:
            raise CostReached(
                f"spent {self.spent:.4f}, and the calls under way with the next one could bring "
                f"it to {at_most:.4f}, over --max-cost {self.max_cost:g}"
            )
        self._reserved += cost

    def settle(self, reserved: float, paid: float) -> None:
        self._reserved -= reserved
        self.spent += paid


class RateLimit:
    """At most so many calls a minute, evenly spaced; None is no limit."""

    def __init__(self, per_minute: float | None = None) -> None:
        self._interval_s = 60 / per_minute if per_minute else 0.0
        self._next_at = 0.0

    async def wait(self) -> None:
        if not self._interval_s:
            return
        now = asyncio.get_running_loop().time()
        at = max(now, self._next_at)
        self._next_at = at + self._interval_s
        await asyncio.sleep(at - now)
