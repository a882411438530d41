"""Phases: runs the engine calls of one loop and accounts for their tokens and time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from redraft.server.engine.base import (
    Call,
    Chat,
    Chunk,
    Engine,
    EngineUnavailable,
    Prompt,
    Sampling,
    Tokens,
)
from redraft.server.engine.overflow import too_long
from redraft.server.refine import limits
from redraft.server.refine.asking import Ask
from redraft.server.refine.breath import Breath
from redraft.server.refine.events import Delta, Thought, ToolCallsDelta
from redraft.server.refine.interrupt import Interrupt
from redraft.server.refine.policy import (
    PAPER_DRAFT_TEMPERATURE,
    RETRY_TEMPERATURE,
    VOTE_TEMPERATURE,
    Policy,
)
from redraft.server.refine.repetition import Repetition
from redraft.server.refine.so_far import SoFar
from redraft.server.refine.stopping import Stop
from redraft.server.refine.trace import Phase, PhaseTotals, ResponseText

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Step:
    """One engine call of the loop."""

    phase: Phase
    sampling: Sampling
    iteration: int = 0
    attempt: int = 1
    vote: int = 0  # among several feedbacks on one response
    fair_share: int = 1  # without max_tokens, the call gets 1/fair_share of the window's rest
    live: bool = False  # its text is certain to be part of the answer
    prediction: tuple[int, ...] = ()  # the tokens that are expected


class Phases:
    """One call at a time; ``split`` makes several for calls that run side by side."""

    def __init__(
        self,
        policy: Policy,
        interrupt: Interrupt,
        request_id: str,
        candidate: int = 0,
        totals: dict[Phase, PhaseTotals] | None = None,
        traceparent: str | None = None,
        breath: Breath | None = None,
    ) -> None:
        self._breath = breath or Breath(policy, alone=False)
        self._policy, self._interrupt = policy, interrupt
        self._request_id, self._candidate = request_id, candidate
        self._traceparent = traceparent
        self.totals: dict[Phase, PhaseTotals] = {} if totals is None else totals
        self.written = ResponseText("")  # by the last call, complete or not
        self._spent = self._generated = 0  # completion tokens without and with the first draft
        self._budget, self._total = policy.token_budget, policy.total_tokens
        self._budget_cut = False
        self._source: AsyncGenerator[Chunk, None] | None = None
        self._shares: list[Phases] = []
        self._tasks: list[asyncio.Task[Any]] = []

    @contextmanager
    def split(self, number: int, *, drafts: bool = False) -> Iterator[list[Phases]]:
        """For so many calls, or drafts with their feedback, side by side: each has an equal share
        of what the limits leave, and what it does not spend is left for later. Of drafts that are
        combined, one share is left for the answer."""
        if number == 1:
            yield [self]
            return
        parts = number + (drafts and self._policy.combine == "candidates")
        self._shares = [self._share(parts, i if drafts else self._candidate) for i in range(number)]
        try:
            yield self._shares
        finally:
            self._spent += sum(share._spent for share in self._shares)
            self._generated += sum(share._generated for share in self._shares)

    def _share(self, number: int, candidate: int) -> Phases:
        share = Phases(
            self._policy,
            self._interrupt,
            self._request_id,
            candidate,
            self.totals,
            self._traceparent,
        )
        if self._budget is not None:
            share._budget = max(0, self._budget - self._spent) // number
        if self._total is not None:
            share._total = max(0, self._total - self._generated) // number
        return share

    def remaining_s(self) -> float | None:
        """Until the deadline, where there is one."""
        return self._interrupt.remaining_s()

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run ``work`` side by side with others; ``close`` ends it."""
        task = asyncio.create_task(work)
        self._tasks.append(task)
        return task

    async def stream(
        self, engine: Engine, ask: Ask, step: Step
    ) -> AsyncGenerator[Delta | Thought | ToolCallsDelta, None]:
        """One completion as it is generated; ``written`` has its text when this ends, also by an
        error."""
        self.written = ResponseText("")  # this call may end before it begins
        self._interrupt.check()
        sampling = await self._sampling(engine, ask, step)
        prompt = self._prompt(engine, ask, step)
        goes_on = self._breath.goes_on(step.phase, step.iteration, step.attempt)
        source, calls = await self._breath.generate(
            engine, prompt, sampling, self._call(step, ask), ask.marks if goes_on else ()
        )
        self._source = source
        phase, iteration, live = step.phase, step.iteration, step.live
        so_far = SoFar(ask)
        repetition = Repetition() if self._may_end(step) else None
        started = time.perf_counter()
        try:
            with self._interrupt.watch() as watch:
                while so_far.last is None:
                    chunk = await watch.wait(anext(source))
                    piece, logprobs = so_far.add(chunk)
                    if chunk.thought:
                        yield Thought(phase, iteration, chunk.thought)
                    if piece or (live and logprobs):
                        yield Delta(phase, iteration, piece, live, logprobs)
                    if chunk.tool_calls:
                        yield ToolCallsDelta(chunk.tool_calls, "".join(so_far.text))
                    if so_far.last is None and repetition and repetition.add(chunk.thought + piece):
                        self._budget_cut = False
                        await so_far.end_repetition(engine)
                        break
        except StopAsyncIteration:
            message = f"engine {engine.name!r} ended a completion without a finish reason"
            raise EngineUnavailable(message) from None
        finally:
            spent = so_far.usage()
            seconds = time.perf_counter() - started
            self._account(step, PhaseTotals(replace(spent, calls=calls), seconds, so_far.repeated))
            self.written = so_far.response(engine.name, spent)
            await source.aclose()

    async def whole(self, engine: Engine, ask: Ask, step: Step) -> ResponseText:
        async for _ in self.stream(engine, ask, step):
            pass
        return self.written

    def check_budget(self) -> None:
        """Stop when the last call was cut short by the token budget."""
        if self._budget_cut and self.written.finish_reason == "length":
            raise Stop("token_budget")

    async def close(self) -> None:
        """End the calls that are running, if there are any."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for share in self._shares:
            await share.close()
        if self._source is not None:
            await self._source.aclose()
        await self._breath.close()

    def _prompt(self, engine: Engine, ask: Ask, step: Step) -> Prompt:
        """The prompt, with whether and how long a reasoning model is to think."""
        if not (engine.thinks and isinstance(ask.prompt, Chat)):
            return ask.prompt
        think, most = self._policy.thinks(step.phase), self._policy.think_tokens
        options = replace(ask.prompt.options, think=think, think_tokens=most)
        return replace(ask.prompt, options=options)

    def _call(self, step: Step, ask: Ask) -> Call:
        parts = [self._request_id, step.phase, str(step.iteration)]
        parts += [f"d{self._candidate}"] if self._policy.drafts > 1 else []
        parts += [f"v{step.vote}"] if step.vote else []
        parts += [f"a{step.attempt}"] if step.attempt > 1 else []
        # Later phases go first: a running loop holds memory until it has finished.
        priority = -2 * step.iteration - (step.phase == "refinement")
        return Call(
            request_id="-".join(parts),
            session=self._request_id,
            priority=priority,
            traceparent=self._traceparent,
            timeout_s=self._interrupt.remaining_s(),
            adapter=ask.adapter,
            prediction=step.prediction,
        )

    async def _sampling(self, engine: Engine, ask: Ask, step: Step) -> Sampling:
        temperature = step.sampling.temperature
        if step.phase == "draft" and self._policy.drafts > 1 and temperature is None:
            temperature = PAPER_DRAFT_TEMPERATURE
        if step.phase == "feedback" and self._policy.feedback_votes > 1 and temperature is None:
            temperature = VOTE_TEMPERATURE
        if step.attempt > 1:
            temperature = max(temperature or 0.0, RETRY_TEMPERATURE)
        max_tokens = await self._max_tokens(engine, ask, step)
        sampling = replace(
            step.sampling,
            temperature=temperature,
            max_tokens=max_tokens,
            seed=self._policy.seed_for(
                step.phase, step.iteration, self._candidate, step.attempt, step.vote
            ),
        )
        if sampling.ignore_eos:  # asks for an exact number of tokens: markers do not end it either
            return sampling
        return replace(
            sampling,
            forms=ask.form.constraints(max_tokens, step.attempt) if ask.form else (),
            stop=(*sampling.stop, *ask.stop),
            stop_token_ids=(*sampling.stop_token_ids, *ask.stop_token_ids),
        )

    async def _max_tokens(self, engine: Engine, ask: Ask, step: Step) -> int | None:
        named = step.sampling.max_tokens
        most = self._default_tokens(step) if named is None else named
        if isinstance(ask.prompt, Tokens):
            room = engine.window - len(ask.prompt.ids)
            if step.phase == "draft" and room < (named or 1):
                raise too_long(engine.window, len(ask.prompt.ids), named)
            if room < 1:
                raise Stop("token_budget", f"the window of {engine.window} tokens is full")
            share = room if named else max(1, room // step.fair_share)
            most = min(share, most or share)
        elif named is None and most is not None:
            most = await limits.fitting(engine, ask.prompt, most, step.fair_share)
        self._budget_cut = False
        left = self._left(step)
        if left is None:
            return most
        if left < 1:
            raise Stop("token_budget")
        self._budget_cut = most is None or left <= most
        return left if most is None else min(most, left)

    def _default_tokens(self, step: Step) -> int | None:
        most = self._policy.most_tokens(step.phase)
        return None if most is None else max(most, step.sampling.min_tokens or 0)

    def _left(self, step: Step) -> int | None:
        """The tokens that the tighter of the two limits leaves for this call."""
        left = []
        if self._budget is not None and self._charged(step):
            left.append(self._budget - self._spent)
        if self._total is not None:
            left.append(self._total - self._generated)
        return min(left, default=None)

    def _charged(self, step: Step) -> bool:
        """Whether the call counts against the budget: the first draft does not, which is written
        without refinement, too."""
        return not (step.phase == "draft" and self._candidate == 0)

    def _may_end(self, step: Step) -> bool:
        """Whether repetition ends the text; ignore_eos asks for an exact number of tokens."""
        policy = self._policy
        return policy.end_repetition and policy.refines and not step.sampling.ignore_eos

    def _account(self, step: Step, totals: PhaseTotals) -> None:
        self._generated += totals.usage.completion_tokens
        if self._charged(step):
            self._spent += totals.usage.completion_tokens
        self.totals[step.phase] = self.totals.get(step.phase, PhaseTotals()) + totals
