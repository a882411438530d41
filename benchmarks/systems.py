"""The systems whose time is compared: Redraft, and what one would use without it.

Each answers one instruction and says when its first token, its first answer token and its last one
arrived. How to add one: a class here with ``name`` and ``answer``, a row in ``SYSTEMS``, and a
case in tests/test_bench_latency.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from benchmarks.endpoint import CallFailed, Session
from benchmarks.timing import Timing

Messages = list[dict[str, str]]

# In a line each: a longer request would only cost the client-side loop more.
FEEDBACK_REQUEST = "Give feedback on this answer: weaknesses, suggestions, overall score of 10."
REFINEMENT_REQUEST = "Write the answer again, improved by this feedback. Only the answer."

# A loop that ends for one of these did what it was asked; for any other, it was cut off.
DECIDED = ("max_iterations", "good_enough", "no_change", "no_gain")


@dataclass(frozen=True, slots=True)
class Load:
    """What every system is asked to do."""

    phase_tokens: int  # at most, or exactly where the system lets one say so
    temperature: float = 1.0


class System(Protocol):
    name: str

    async def answer(self, instruction: str, iterations: int, due: float) -> Timing:
        """``due`` is when the request should have been sent, by time.perf_counter."""


class Redraft:
    """One streamed request; the loop runs in the server."""

    name = "redraft"

    def __init__(self, session: Session, load: Load) -> None:
        self._session, self._load = session, load

    async def answer(self, instruction: str, iterations: int, due: float) -> Timing:
        sampling = {"temperature": self._load.temperature, "max_tokens": self._load.phase_tokens}
        body = {
            "model": self._session.endpoint.model,
            "messages": [{"role": "user", "content": instruction}],
            **_streamed(sampling),
            "refine": {
                "max_iterations": iterations,
                "keep": "last",
                "feedback_sampling": sampling,
                "refinement": sampling,
            },
        }
        told: dict[str, Any] = {}
        call = _Streamed(due)
        async for at, chunk in self._session.stream("chat/completions", body):
            call.take(at, chunk)
            told = chunk.get("refine") or told
        if (why := told.get("stop_reason")) not in DECIDED:
            raise CallFailed(f"stopped_by_{why}", f"after {told.get('iterations')} iterations")
        used = told.get("usage") or {}
        seconds = {phase: float(spent["seconds"]) for phase, spent in used.items()}
        return call.timing(seconds)


class Floor:
    """One uninterrupted generation of as many tokens: what no loop can be faster than."""

    name = "floor"

    def __init__(self, session: Session, load: Load) -> None:
        self._session, self._load = session, load

    async def answer(self, instruction: str, iterations: int, due: float) -> Timing:
        tokens = self._load.phase_tokens * (1 + 2 * iterations)
        body = {
            "model": self._session.endpoint.model,
            "prompt": instruction,
            "ignore_eos": True,
            **_streamed({"temperature": self._load.temperature, "max_tokens": tokens}),
        }
        call = _Streamed(due)
        async for at, chunk in self._session.stream("completions", body):
            call.take(at, chunk)
        timing = call.timing({})
        if timing.tokens != tokens:
            raise CallFailed("short", f"{timing.tokens} tokens of {tokens}")
        return timing


class ClientLoop:
    """Self-Refine (Madaan et al. 2023) written by the client: a call for each phase. Each iteration
    starts from the last response, as Redraft's do; the paper's own keeps all of them, which costs
    more."""

    name = "client-loop"

    def __init__(self, session: Session, load: Load) -> None:
        self._session, self._load = session, load

    async def answer(self, instruction: str, iterations: int, due: float) -> Timing:
        asked: Messages = [{"role": "user", "content": instruction}]
        draft = await self._call(asked, due)
        calls, answer = [draft], draft
        for _ in range(iterations):
            messages = [*asked, _said(answer), {"role": "user", "content": FEEDBACK_REQUEST}]
            feedback = await self._call(messages, due)
            messages += [_said(feedback), {"role": "user", "content": REFINEMENT_REQUEST}]
            answer = await self._call(messages, due)
            calls += [feedback, answer]
        phases = {"draft": draft.seconds}
        if iterations:
            phases["feedback"] = sum(call.seconds for call in calls[1::2])
            phases["refinement"] = sum(call.seconds for call in calls[2::2])
        return Timing(
            first_token_s=draft.first - due,
            first_answer_s=answer.first - due,
            total_s=answer.last - due,
            tokens=sum(call.completion_tokens for call in calls),
            prompt_tokens=sum(call.prompt_tokens for call in calls),
            cached_tokens=sum(call.cached_tokens for call in calls),
            phases=phases,
        )

    async def _call(self, messages: Messages, due: float) -> _Streamed:
        sampling = {"temperature": self._load.temperature, "max_tokens": self._load.phase_tokens}
        body = {
            "model": self._session.endpoint.model,
            "messages": messages,
            "ignore_eos": True,
            **_streamed(sampling),
        }
        call = _Streamed(due)
        async for at, chunk in self._session.stream("chat/completions", body):
            call.take(at, chunk)
        call.finish()
        return call


class Optillm:
    """optillm's mixture of agents, its nearest approach: three drafts, feedback on them, an answer
    made from both. It has no iterations and generates five texts where one iteration of Redraft
    generates three."""

    name = "optillm"

    def __init__(self, session: Session, load: Load) -> None:
        self._session, self._load = session, load

    async def answer(self, instruction: str, iterations: int, due: float) -> Timing:
        body = {
            "model": f"moa-{self._session.endpoint.model}",
            "messages": [{"role": "user", "content": instruction}],
            **_streamed(
                {"temperature": self._load.temperature, "max_tokens": self._load.phase_tokens}
            ),
        }
        call = _Streamed(due)
        async for at, chunk in self._session.stream("chat/completions", body):
            call.take(at, chunk)
        # Its stream tells no usage; the five texts are known.
        return call.timing({}, tokens=5 * self._load.phase_tokens)


SYSTEMS: dict[str, Callable[[Session, Load], System]] = {
    system.name: system for system in (Redraft, Floor, ClientLoop, Optillm)
}


class _Streamed:
    """One streamed call while it arrives."""

    def __init__(self, due: float) -> None:
        self._due = due
        self._sent = time.perf_counter()
        self.first = self.first_answer = self.last = 0.0
        self.prompt_tokens = self.completion_tokens = self.cached_tokens = 0
        self.text = ""

    @property
    def seconds(self) -> float:
        return self.last - self._sent

    def take(self, at: float, chunk: dict[str, Any]) -> None:
        for choice in chunk.get("choices") or ():
            delta = choice.get("delta") or {}
            text = delta.get("content") or choice.get("text") or ""
            if text or delta.get("reasoning") or delta.get("reasoning_content"):
                self.first = self.first or at
                self.last = at
            if text:
                self.first_answer = self.first_answer or at
                self.text += text
        if used := chunk.get("usage"):
            self.prompt_tokens = used["prompt_tokens"]
            self.completion_tokens = used["completion_tokens"]
            self.cached_tokens = (used.get("prompt_tokens_details") or {}).get("cached_tokens") or 0

    def finish(self) -> None:
        if not self.first_answer:
            raise CallFailed("no_content", "the stream had no answer in it")

    def timing(self, phases: dict[str, float], tokens: int = 0) -> Timing:
        self.finish()
        return Timing(
            self.first - self._due,
            self.first_answer - self._due,
            self.last - self._due,
            self.completion_tokens or tokens,
            self.prompt_tokens,
            self.cached_tokens,
            phases=phases,
        )


def _streamed(sampling: dict[str, Any]) -> dict[str, Any]:
    return {**sampling, "stream": True, "stream_options": {"include_usage": True}}


def _said(call: _Streamed) -> dict[str, str]:
    return {"role": "assistant", "content": call.text}
