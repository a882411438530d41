"""The systems whose time is compared: Redraft, and what one would use without it.

Each answers one instruction and says when its first token, its first answer token and its last one
arrived. How to add one: a class here with ``name`` and ``answer``, a row in ``SYSTEMS``
and ``SystemName``, and a case in tests/benchmarks/test_latency.py.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal

from redraft.benchmarks.load.endpoint import CallFailed, Session
from redraft.benchmarks.load.timing import Load, Timing
from redraft.server.refine.requests import Requests
from redraft.server.refine.trace_json import PHASES

Messages = list[dict[str, str]]

# Compared with one iteration alone: they have none of their own.
WITHOUT_ITERATIONS = ("candidates", "fusion", "optillm")
# A loop that ends for one of these did what it was asked; for any other, it was cut off.
DECIDED = ("max_iterations", "good_enough", "no_change", "no_gain")
# In a line each: the least that a client can ask in words.
SHORT_FEEDBACK_REQUEST = (
    "Give feedback on this answer: weaknesses, suggestions, overall score of 10."
)
SHORT_REFINEMENT_REQUEST = "Write the answer again, improved by this feedback. Only the answer."
MERGE_REQUEST = "Write one answer from the best of these answers. Only the answer."
PANEL = 3  # drafts of one answer, where several are combined


def message(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


class Streamed:
    """When the first token, the first answer token and the last token of a stream came."""

    def __init__(self, due: float) -> None:
        self._due = due
        self._sent = time.perf_counter()
        self.first = self.first_answer = self.last = 0.0
        self.prompt_tokens = self.completion_tokens = self.cached_tokens = 0
        self.text = ""
        self.refine: dict[str, Any] = {}  # Redraft's account of the loop

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
        self.refine = chunk.get("refine") or self.refine
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


class System(ABC):
    name: str

    def __init__(self, session: Session, load: Load) -> None:
        self._session, self._load = session, load
        self._sampling = {"temperature": load.temperature, "max_tokens": load.phase_tokens}

    @abstractmethod
    async def answer(self, instruction: str, iterations: int, due: float) -> Timing:
        """``due``: when the request should have been sent, by time.perf_counter."""

    async def _stream(self, path: str, body: dict[str, Any], due: float) -> Streamed:
        """Send a request for a stream with usage at its end, and read it."""
        request = {"model": self._session.endpoint.model, **body}
        request |= {"stream": True, "stream_options": {"include_usage": True}}
        call = Streamed(due)
        async for at, chunk in self._session.stream(path, request):
            call.take(at, chunk)
        return call


class RefiningServer(System):
    """One streamed request; the loop runs in the server."""

    name = "redraft"

    more: ClassVar[dict[str, Any]] = {}  # refine options

    async def answer(self, instruction: str, iterations: int, due: float) -> Timing:
        body = {
            "messages": [message("user", instruction)],
            **self._sampling,
            "refine": {
                "max_iterations": iterations,
                "keep": "last",
                "feedback_sampling": self._sampling,
                "refinement": self._sampling,
                **self.more,
            },
        }
        call = await self._stream("chat/completions", body, due)
        if (why := call.refine.get("stop_reason")) not in DECIDED:
            raise CallFailed(
                f"stopped_by_{why}", f"after {call.refine.get('iterations')} iterations"
            )
        used = call.refine.get("usage") or {}
        return call.timing({p: float(used[p]["seconds"]) for p in PHASES if p in used})


class CombiningServer(RefiningServer):
    """The same request for one answer from several drafts, the first of which is streamed."""

    name = "candidates"
    more: ClassVar = {"drafts": PANEL, "combine": "candidates", "feedback_by": "off"}


class Floor(System):
    """One uninterrupted generation of as many tokens, a lower bound for any loop."""

    name = "floor"

    async def answer(self, instruction: str, iterations: int, due: float) -> Timing:
        tokens = self._load.phase_tokens * (1 + 2 * iterations)
        body = {"prompt": instruction, "ignore_eos": True, **self._sampling, "max_tokens": tokens}
        timing = (await self._stream("completions", body, due)).timing({})
        if timing.tokens != tokens:
            raise CallFailed("short", f"{timing.tokens} tokens of {tokens}")
        return timing


class _Caller(System):
    """Makes calls of a plain server."""

    async def _call(self, messages: Messages, due: float) -> Streamed:
        body = {"messages": messages, **self._sampling, "ignore_eos": True}
        call = await self._stream("chat/completions", body, due)
        call.finish()
        return call


class _ClientSideLoop(_Caller):
    """Self-Refine written by the client over a plain server: a streamed call for each phase.

    Each iteration starts from the last response, as in Redraft; Self-Refine itself (Madaan et al.
    2023) keeps all of them in the prompt, which costs more.
    """

    @staticmethod
    @abstractmethod
    def feedback(instruction: str, answer: str) -> Messages: ...

    @staticmethod
    @abstractmethod
    def refinement(instruction: str, answer: str, feedback: str) -> Messages: ...

    async def answer(self, instruction: str, iterations: int, due: float) -> Timing:
        draft = await self._call([message("user", instruction)], due)
        calls, answer = [draft], draft
        for _ in range(iterations):
            feedback = await self._call(self.feedback(instruction, answer.text), due)
            messages = self.refinement(instruction, answer.text, feedback.text)
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


class ClientLoop(_ClientSideLoop):
    """A separate prompt for each phase, as published: the request of the paper's Table 1, which
    Redraft sends to models that it has not trained."""

    name = "client-loop"

    @staticmethod
    def feedback(instruction: str, answer: str) -> Messages:
        return [message("user", Requests().for_feedback(instruction, answer))]

    @staticmethod
    def refinement(instruction: str, answer: str, feedback: str) -> Messages:
        begun = [message("user", instruction), message("assistant", answer)]
        return [*begun, message("user", Requests().for_refinement(instruction, answer, feedback))]


class ClientChat(_ClientSideLoop):
    """One continued chat, so that the prefix cache holds all but the last message, with one-line
    requests. No client-side loop can cost less."""

    name = "client-chat"

    @staticmethod
    def feedback(instruction: str, answer: str) -> Messages:
        begun = [message("user", instruction), message("assistant", answer)]
        return [*begun, message("user", SHORT_FEEDBACK_REQUEST)]

    @staticmethod
    def refinement(instruction: str, answer: str, feedback: str) -> Messages:
        begun = ClientChat.feedback(instruction, answer)
        return [*begun, message("assistant", feedback), message("user", SHORT_REFINEMENT_REQUEST)]


class Fusion(_Caller):
    """Answers merged by a client, as the routers that sell it do: several drafts side by side over
    a plain server, collected whole, then one request that quotes them, whose answer is streamed.
    It generates as much as ``candidates``."""

    name = "fusion"

    async def answer(self, instruction: str, iterations: int, due: float) -> Timing:
        asked = [message("user", instruction)]
        drafts = await asyncio.gather(*(self._call(asked, due) for _ in range(PANEL)))
        quoted = "\n\n".join(f"Answer {n}:\n{each.text}" for n, each in enumerate(drafts, 1))
        merged = await self._call(
            [message("user", f"{instruction}\n\n{quoted}\n\n{MERGE_REQUEST}")], due
        )
        calls = [*drafts, merged]
        return Timing(
            first_token_s=merged.first - due,  # of the drafts, its caller sees nothing
            first_answer_s=merged.first_answer - due,
            total_s=merged.last - due,
            tokens=sum(call.completion_tokens for call in calls),
            prompt_tokens=sum(call.prompt_tokens for call in calls),
            cached_tokens=sum(call.cached_tokens for call in calls),
            phases={
                "draft": max(each.seconds for each in drafts),
                "refinement": merged.seconds,
            },
        )


class Optillm(System):
    """optillm's mixture of agents, its nearest approach: three drafts, feedback on them, an answer
    made from both. It has no iterations and generates five texts where one iteration of Redraft
    generates three."""

    name = "optillm"

    async def answer(self, instruction: str, iterations: int, due: float) -> Timing:
        model = f"moa-{self._session.endpoint.model}"
        body = {"model": model, "messages": [message("user", instruction)], **self._sampling}
        call = await self._stream("chat/completions", body, due)
        # Its stream tells no usage; the five texts are known.
        return call.timing({}, tokens=5 * self._load.phase_tokens)


SystemName = Literal[
    "redraft", "candidates", "floor", "client-loop", "client-chat", "fusion", "optillm"
]
SYSTEMS: dict[str, type[System]] = {
    "redraft": RefiningServer,
    "candidates": CombiningServer,
    "floor": Floor,
    "client-loop": ClientLoop,
    "client-chat": ClientChat,
    "fusion": Fusion,
    "optillm": Optillm,
}
