"""One engine asked through the ledger: retried, limited, within the cost cap, never paid twice."""

from __future__ import annotations

import asyncio
import time
import uuid
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field

from redraft.server.engine.base import (
    Call,
    Chat,
    Completion,
    Engine,
    EngineError,
    EngineRefused,
    EngineUnavailable,
    Prompt,
    PromptTooLong,
    Sampling,
    complete,
)
from redraft.server.engine.http_engine.answer import Retryable
from redraft.server.retry import Backoff
from redraft.train.data.ledger import Entry, Ledger, key_of
from redraft.train.engines import EngineSpec, identity, opened

_CHARACTERS_PER_TOKEN = 3  # on the low side, so that what is reserved is on the high side
_LONGEST_WAIT_S, _LONGEST_RETRY_AFTER_S = 60.0, 600.0  # collecting can wait


class PaidCallFailed(Exception):
    """One call did not work; the message says why. A later run makes it again."""

    reason = "failed"


class GivenUp(PaidCallFailed):
    """The engine still failed after the last retry."""

    reason = "given up"


class Refused(PaidCallFailed):
    """The engine refuses the call; trying again would not help."""

    reason = "refused"


class CostReached(Exception):
    """The next call could go over the cost cap. Everything paid for is on disk."""


@dataclass(slots=True)
class Budget:
    """The cost cap of a run. A call reserves the most it can cost before it is made, so the cap
    holds whatever the calls under way turn out to cost."""

    max_cost: float | None
    spent: float = 0.0
    _reserved: float = field(default=0.0, init=False)

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

    def __init__(self, per_minute: float | None) -> None:
        self._interval_s = 60 / per_minute if per_minute else 0.0
        self._next_at = 0.0

    async def wait(self) -> None:
        if not self._interval_s:
            return
        now = asyncio.get_running_loop().time()
        at = max(now, self._next_at)
        self._next_at = at + self._interval_s
        await asyncio.sleep(at - now)


@dataclass(slots=True)
class Spent:
    """What the engines of this run were paid for, without what the ledger held before."""

    calls: int = 0
    reused: int = 0
    retries: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0


@dataclass(slots=True)
class PaidEngine:
    """An engine whose completions are kept in the ledger; no call is made twice."""

    engine: Engine
    ledger: Ledger
    model: str  # its name behind a URL, or a fingerprint of its weights
    source: EngineSpec
    budget: Budget
    spent: Spent
    _free: asyncio.Semaphore = field(init=False)
    _rate: RateLimit = field(init=False)
    _under_way: dict[str, asyncio.Task[Entry]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._free = asyncio.Semaphore(self.source.max_concurrency)
        self._rate = RateLimit(self.source.per_minute)

    async def ask(self, kind: str, prompt: Prompt, sampling: Sampling) -> Entry:
        """The entry of one call; PaidCallFailed, or CostReached at the cap."""
        parts = {"kind": kind, "model": self.model, "prompt": asdict(prompt)}
        key = key_of(sampling=asdict(sampling), **parts)
        if (known := self.ledger.get(key)) is not None:
            self.spent.reused += 1
            return known
        if key not in self._under_way:
            # Two drafts may be the same text: the second call waits for the first.
            task = asyncio.create_task(self._paid(key, kind, prompt, sampling))
            task.add_done_callback(lambda _: self._under_way.pop(key))
            self._under_way[key] = task
        return await asyncio.shield(self._under_way[key])

    async def _paid(self, key: str, kind: str, prompt: Prompt, sampling: Sampling) -> Entry:
        async with self._free:
            max_tokens = sampling.max_tokens or self.engine.window
            most = self.source.cost(prompt_tokens(prompt), max_tokens)
            self.budget.reserve(most)
            entry = Entry(key, kind)
            try:
                entry = await self._attempts(key, kind, prompt, sampling)
            finally:
                self.budget.settle(most, entry.cost)
            self.spent.calls += 1
            self.spent.prompt_tokens += entry.prompt_tokens
            self.spent.completion_tokens += entry.completion_tokens
            self.spent.cost += entry.cost
            await self.ledger.append(entry)
        return entry

    async def _attempts(self, key: str, kind: str, prompt: Prompt, sampling: Sampling) -> Entry:
        source = self.source
        backoff = Backoff(
            source.retries, source.first_wait_s, _LONGEST_WAIT_S, _LONGEST_RETRY_AFTER_S
        )
        failures = 0
        while True:
            await self._rate.wait()
            started = time.monotonic()
            try:
                completion = await self._once(prompt, sampling)
            except (EngineRefused, PromptTooLong) as error:
                raise Refused(str(error)) from error
            except (EngineError, TimeoutError) as error:
                failures += 1
                retry_after_s = error.after_s if isinstance(error, Retryable) else None
                delay_s = backoff.delay_s(failures, retry_after_s)
                if delay_s is None:
                    message = str(error) or f"no answer in {source.timeout_s:g} s"
                    raise GivenUp(message) from error
                self.spent.retries += 1
                await asyncio.sleep(delay_s)
            else:
                return self._entry(key, kind, completion, time.monotonic() - started)

    async def _once(self, prompt: Prompt, sampling: Sampling) -> Completion:
        call = Call(uuid.uuid4().hex, timeout_s=self.source.timeout_s)
        async with asyncio.timeout(self.source.timeout_s):
            done = await complete(self.engine, prompt, sampling, call)
        if not done.text and not done.usage.completion_tokens:
            raise EngineUnavailable(f"engine {self.engine.name!r} returned an empty completion")
        return done

    def _entry(self, key: str, kind: str, done: Completion, seconds: float) -> Entry:
        usage = done.usage
        return Entry(
            key=key,
            kind=kind,
            text=done.text,
            token_ids=done.token_ids,
            finish_reason=done.finish_reason,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            cost=self.source.cost(usage.prompt_tokens, usage.completion_tokens),
            seconds=round(seconds, 3),
        )


class PaidEngines(AsyncExitStack):
    """The engines of a run by their specs: each opened once, all closed at the end."""

    def __init__(self, ledger: Ledger, budget: Budget) -> None:
        super().__init__()
        self._ledger, self._budget, self._spent = ledger, budget, Spent()
        self._engines: dict[EngineSpec, PaidEngine] = {}

    async def get(self, source: EngineSpec) -> PaidEngine:
        if source not in self._engines:
            engine = await self.enter_async_context(opened(source))
            self._engines[source] = PaidEngine(
                engine, self._ledger, identity(source), source, self._budget, self._spent
            )
        return self._engines[source]


def prompt_tokens(prompt: Prompt) -> int:
    """An estimate of a prompt's tokens, on the high side."""
    if isinstance(prompt, Chat):
        characters = sum(len(m.content) + 20 for m in prompt.messages)
        return characters // _CHARACTERS_PER_TOKEN + 1
    return len(prompt.ids)
