"""Phases: runs the engine calls of one loop and accounts for their tokens and time."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace

from redraft.server.engine.base import (
    Call,
    Chat,
    Chunk,
    Engine,
    EngineUnavailable,
    Prompt,
    PromptTooLong,
    Sampling,
    Tokens,
    Usage,
)
from redraft.server.engine.tool_calls import ToolCalls
from redraft.server.refine.asking import Ask
from redraft.server.refine.events import Delta, Thought, ToolCallsDelta
from redraft.server.refine.interrupt import Interrupt
from redraft.server.refine.policy import PAPER_DRAFT_TEMPERATURE, RETRY_TEMPERATURE, Policy
from redraft.server.refine.stopping import Stop
from redraft.server.refine.trace import Phase, PhaseTotals, ResponseText


@dataclass(frozen=True, slots=True)
class Step:
    """One engine call of the loop."""

    phase: Phase
    sampling: Sampling
    iteration: int = 0
    attempt: int = 1
    fair_share: int = 1  # without max_tokens, the call gets 1/fair_share of the window's rest
    live: bool = False  # its text is certain to be part of the answer


class Phases:
    """One call at a time; ``beside`` makes another for calls that run side by side."""

    def __init__(
        self,
        policy: Policy,
        interrupt: Interrupt,
        request_id: str,
        candidate: int = 0,
        totals: dict[Phase, PhaseTotals] | None = None,
        traceparent: str | None = None,
    ) -> None:
        self._policy, self._interrupt = policy, interrupt
        self._request_id, self._candidate = request_id, candidate
        self._traceparent = traceparent
        self.totals: dict[Phase, PhaseTotals] = {} if totals is None else totals
        self.written = ResponseText("")  # by the last call, complete or not
        self._spent = self._generated = 0  # completion tokens without and with the first draft
        self._budget, self._total = policy.token_budget, policy.total_tokens
        self._budget_cut = False
        self._source: AsyncGenerator[Chunk, None] | None = None

    def beside(self, candidate: int) -> Phases:
        """For one of several drafts: an equal share of the limits, the same totals."""
        share = Phases(
            self._policy,
            self._interrupt,
            self._request_id,
            candidate,
            self.totals,
            self._traceparent,
        )
        if self._budget is not None:
            share._budget = self._budget // self._policy.drafts
            self._spent += share._budget
        if self._total is not None:
            share._total = self._total // self._policy.drafts
            self._generated += share._total
        return share

    async def stream(
        self, engine: Engine, ask: Ask, step: Step
    ) -> AsyncGenerator[Delta | Thought | ToolCallsDelta, None]:
        """One completion as it is generated; ``written`` has its text when this ends, also by an
        error."""
        self._interrupt.check()
        sampling = self._sampling(engine, ask, step)
        prompt = self._prompt(engine, ask, step)
        source = self._source = engine.generate(prompt, sampling, self._call(step))
        phase, iteration, live = step.phase, step.iteration, step.live
        so_far = _SoFar()
        started = time.perf_counter()
        try:
            with self._interrupt.watch() as watch:
                while so_far.last is None:
                    chunk = await watch.wait(anext(source))
                    so_far.add(chunk)
                    if chunk.thought:
                        yield Thought(phase, iteration, chunk.thought)
                    if chunk.text:
                        yield Delta(phase, iteration, chunk.text, live)
                    if chunk.tool_calls:
                        yield ToolCallsDelta(chunk.tool_calls, "".join(so_far.text))
        except StopAsyncIteration:
            message = f"engine {engine.name!r} ended a completion without a finish reason"
            raise EngineUnavailable(message) from None
        finally:
            spent = so_far.usage(ask)
            self._account(step, spent, time.perf_counter() - started)
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
        """End the call that is running, if there is one."""
        if self._source is not None:
            await self._source.aclose()

    def _prompt(self, engine: Engine, ask: Ask, step: Step) -> Prompt:
        """The prompt, with whether and how long a reasoning model is to think."""
        if not (engine.thinks and isinstance(ask.prompt, Chat)):
            return ask.prompt
        think, most = self._policy.thinks(step.phase), self._policy.think_tokens
        options = replace(ask.prompt.options, think=think, think_tokens=most)
        return replace(ask.prompt, options=options)

    def _call(self, step: Step) -> Call:
        parts = [self._request_id, step.phase, str(step.iteration)]
        parts += [f"d{self._candidate}"] if self._policy.drafts > 1 else []
        parts += [f"a{step.attempt}"] if step.attempt > 1 else []
        # Later phases go first: a running loop holds memory until it has finished.
        priority = -2 * step.iteration - (step.phase == "refinement")
        return Call(
            request_id="-".join(parts),
            session=self._request_id,
            priority=priority,
            traceparent=self._traceparent,
            timeout_s=self._interrupt.remaining_s(),
        )

    def _sampling(self, engine: Engine, ask: Ask, step: Step) -> Sampling:
        sampling = step.sampling
        temperature = sampling.temperature
        if step.phase == "draft" and self._policy.drafts > 1 and temperature is None:
            temperature = PAPER_DRAFT_TEMPERATURE
        if step.attempt > 1:
            temperature = max(temperature or 0.0, RETRY_TEMPERATURE)
        return replace(
            sampling,
            temperature=temperature,
            max_tokens=self._max_tokens(engine, ask, step),
            seed=self._policy.seed_for(step.phase, step.iteration, self._candidate, step.attempt),
            # ignore_eos asks for an exact number of tokens, so markers do not end it either.
            stop=sampling.stop if sampling.ignore_eos else (*sampling.stop, *ask.stop),
            stop_token_ids=(
                sampling.stop_token_ids
                if sampling.ignore_eos
                else (*sampling.stop_token_ids, *ask.stop_token_ids)
            ),
        )

    def _max_tokens(self, engine: Engine, ask: Ask, step: Step) -> int | None:
        most = step.sampling.max_tokens
        room = _room(engine, ask)
        if room is not None:
            if step.phase == "draft" and room < (most or 1):
                raise PromptTooLong(_too_long(engine, room, most))
            if room < 1:
                raise Stop("token_budget", f"the window of {engine.window} tokens is full")
            most = max(1, room // step.fair_share) if most is None else min(most, room)
        self._budget_cut = False
        left = self._left(step)
        if left is None:
            return most
        if left < 1:
            raise Stop("token_budget")
        self._budget_cut = most is None or left <= most
        return left if most is None else min(most, left)

    def _left(self, step: Step) -> int | None:
        """The tokens that the tighter of the two limits leaves for this call."""
        limits = []
        if self._budget is not None and self._charged(step):
            limits.append(self._budget - self._spent)
        if self._total is not None:
            limits.append(self._total - self._generated)
        return min(limits, default=None)

    def _charged(self, step: Step) -> bool:
        """Whether the call counts against the budget: the first draft does not, which is written
        without refinement, too."""
        return not (step.phase == "draft" and self._candidate == 0)

    def _account(self, step: Step, usage: Usage, seconds: float) -> None:
        self._generated += usage.completion_tokens
        if self._charged(step):
            self._spent += usage.completion_tokens
        so_far = self.totals.get(step.phase, PhaseTotals())
        self.totals[step.phase] = PhaseTotals(
            so_far.usage + replace(usage, calls=1), so_far.seconds + seconds
        )


def _room(engine: Engine, ask: Ask) -> int | None:
    """Tokens left in the window; unknown for a chat that the engine renders itself."""
    return engine.window - len(ask.prompt.ids) if isinstance(ask.prompt, Tokens) else None


def _too_long(engine: Engine, room: int, max_tokens: int | None) -> str:
    prompt = engine.window - room
    new = f" + {max_tokens} new" if max_tokens else ""
    advice = f"lower max_tokens to {room} or " if room > 0 and max_tokens else ""
    return (
        f"the request needs {prompt} prompt{new} tokens, but the model's window is "
        f"{engine.window}; {advice}shorten the messages"
    )


class _SoFar:
    """One completion so far."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self.last: Chunk | None = None
        self._ids: list[int] = []
        self._thoughts: list[str] = []
        self._calls = ToolCalls()
        self._others = 0  # chunks that are neither text nor a thought

    def add(self, chunk: Chunk) -> None:
        self._ids.extend(chunk.token_ids)
        if chunk.text:
            self.text.append(chunk.text)
        if chunk.thought:
            self._thoughts.append(chunk.thought)
        if chunk.tool_calls:
            self._calls.add(chunk.tool_calls)
            self._others += 1
        if chunk.finish_reason is not None:
            self.last = chunk

    def usage(self, ask: Ask) -> Usage:
        """As the engine says; of an interrupted call, counted from its chunks."""
        if self.last is not None and self.last.usage is not None:
            return self.last.usage
        prompt = len(ask.prompt.ids) if isinstance(ask.prompt, Tokens) else 0
        thoughts = len(self._thoughts)
        written = (len(self._ids) or len(self.text)) + self._others
        return Usage(prompt, written + thoughts, thought_tokens=thoughts)

    def response(self, source: str, spent: Usage) -> ResponseText:
        finish_reason = self.last.finish_reason if self.last else None
        return ResponseText(
            "".join(self.text),
            tuple(self._ids),
            source,
            finish_reason or "length",
            spent.completion_tokens - spent.thought_tokens,
            "".join(self._thoughts),
            self._calls.whole(),
        )
