"""The systems whose time is compared: Redraft, and what one would use without it.

Each answers one instruction and says when its first token, its first answer token and its last one
arrived. How to add one: a class here with ``name`` and ``answer``, a row in ``SYSTEMS``
and ``SystemName``, and a case in tests/benchmarks/test_latency.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol

from redraft.benchmarks.load.client_loops import ClientChat, ClientLoop
from redraft.benchmarks.load.endpoint import CallFailed, Session
from redraft.benchmarks.load.streamed import Streamed, streamed
from redraft.benchmarks.load.timing import Load, Timing

# A loop that ends for one of these did what it was asked; for any other, it was cut off.
DECIDED = ("max_iterations", "good_enough", "no_change", "no_gain")


class System(Protocol):
    name: str

    async def answer(self, instruction: str, iterations: int, due: float) -> Timing:
        """``due``: when the request should have been sent, by time.perf_counter."""


class RefiningServer:
    """One streamed request; the loop runs in the server."""

    name = "redraft"

    def __init__(self, session: Session, load: Load) -> None:
        self._session, self._load = session, load

    async def answer(self, instruction: str, iterations: int, due: float) -> Timing:
        sampling = {"temperature": self._load.temperature, "max_tokens": self._load.phase_tokens}
        body = {
            "model": self._session.endpoint.model,
            "messages": [{"role": "user", "content": instruction}],
            **streamed(sampling),
            "refine": {
                "max_iterations": iterations,
                "keep": "last",
                "feedback_sampling": sampling,
                "refinement": sampling,
            },
        }
        outcome: dict[str, Any] = {}
        call = Streamed(due)
        async for at, chunk in self._session.stream("chat/completions", body):
            call.take(at, chunk)
            outcome = chunk.get("refine") or outcome
        if (why := outcome.get("stop_reason")) not in DECIDED:
            raise CallFailed(f"stopped_by_{why}", f"after {outcome.get('iterations')} iterations")
        used = outcome.get("usage") or {}
        seconds = {phase: float(spent["seconds"]) for phase, spent in used.items()}
        return call.timing(seconds)


class Floor:
    """One uninterrupted generation of as many tokens, a lower bound for any loop."""

    name = "floor"

    def __init__(self, session: Session, load: Load) -> None:
        self._session, self._load = session, load

    async def answer(self, instruction: str, iterations: int, due: float) -> Timing:
        tokens = self._load.phase_tokens * (1 + 2 * iterations)
        body = {
            "model": self._session.endpoint.model,
            "prompt": instruction,
            "ignore_eos": True,
            **streamed({"temperature": self._load.temperature, "max_tokens": tokens}),
        }
        call = Streamed(due)
        async for at, chunk in self._session.stream("completions", body):
            call.take(at, chunk)
        timing = call.timing({})
        if timing.tokens != tokens:
            raise CallFailed("short", f"{timing.tokens} tokens of {tokens}")
        return timing


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
            **streamed(
                {"temperature": self._load.temperature, "max_tokens": self._load.phase_tokens}
            ),
        }
        call = Streamed(due)
        async for at, chunk in self._session.stream("chat/completions", body):
            call.take(at, chunk)
        # Its stream tells no usage; the five texts are known.
        return call.timing({}, tokens=5 * self._load.phase_tokens)


SystemName = Literal["redraft", "floor", "client-loop", "client-chat", "optillm"]
SYSTEMS: dict[str, Callable[[Session, Load], System]] = {
    "redraft": RefiningServer,
    "floor": Floor,
    "client-loop": ClientLoop,
    "client-chat": ClientChat,
    "optillm": Optillm,
}
