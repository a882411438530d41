"""Self-Refine written by the client over a plain server: a streamed call for each phase.

Both loops start each iteration from the last response, as Redraft does; Self-Refine itself
(Madaan et al. 2023) keeps all of them in the prompt, which costs more.
"""

from __future__ import annotations

from typing import Any, Protocol

from redraft.benchmarks.load.endpoint import Session
from redraft.benchmarks.load.streamed import Streamed, streamed
from redraft.benchmarks.load.timing import Load, Timing
from redraft.server.refine.asking import FEEDBACK_REQUEST, REFINEMENT_REQUEST

Messages = list[dict[str, str]]

# In a line each: the least that a client can ask in words.
SHORT_FEEDBACK_REQUEST = (
    "Give feedback on this answer: weaknesses, suggestions, overall score of 10."
)
SHORT_REFINEMENT_REQUEST = "Write the answer again, improved by this feedback. Only the answer."


class PhaseRequests(Protocol):
    """The messages of each phase after the draft."""

    def feedback(self, instruction: str, answer: str) -> Messages: ...

    def refinement(self, instruction: str, answer: str, feedback: str) -> Messages: ...


class OwnPrompts:
    """One prompt with instruction and response for feedback: the request of the paper's Table 1,
    which Redraft sends to models that it has not trained."""

    def feedback(self, instruction: str, answer: str) -> Messages:
        request = FEEDBACK_REQUEST.format(instruction=instruction, response=answer)
        return [message("user", request)]

    def refinement(self, instruction: str, answer: str, feedback: str) -> Messages:
        request = self.feedback(instruction, answer)
        return [*request, message("assistant", feedback), message("user", REFINEMENT_REQUEST)]


class OneChat:
    """The chat is continued, so that the prefix cache holds all but the last message, with
    one-line requests. No client-side loop can cost less."""

    def feedback(self, instruction: str, answer: str) -> Messages:
        begun = [message("user", instruction), message("assistant", answer)]
        return [*begun, message("user", SHORT_FEEDBACK_REQUEST)]

    def refinement(self, instruction: str, answer: str, feedback: str) -> Messages:
        begun = self.feedback(instruction, answer)
        return [*begun, message("assistant", feedback), message("user", SHORT_REFINEMENT_REQUEST)]


class _Loop:
    asks: PhaseRequests

    def __init__(self, session: Session, load: Load) -> None:
        self._session, self._load = session, load

    async def answer(self, instruction: str, iterations: int, due: float) -> Timing:
        draft = await self._call([message("user", instruction)], due)
        calls, answer = [draft], draft
        for _ in range(iterations):
            feedback = await self._call(self.asks.feedback(instruction, answer.text), due)
            messages = self.asks.refinement(instruction, answer.text, feedback.text)
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

    async def _call(self, messages: Messages, due: float) -> Streamed:
        sampling: dict[str, Any] = {
            "temperature": self._load.temperature,
            "max_tokens": self._load.phase_tokens,
            "ignore_eos": True,
        }
        body = {"model": self._session.endpoint.model, "messages": messages, **streamed(sampling)}
        call = Streamed(due)
        async for at, chunk in self._session.stream("chat/completions", body):
            call.take(at, chunk)
        call.finish()
        return call


class ClientLoop(_Loop):
    """A separate prompt for each phase, as published."""

    name = "client-loop"
    asks = OwnPrompts()


class ClientChat(_Loop):
    """One continued chat: the cheapest loop a client can write."""

    name = "client-chat"
    asks = OneChat()


def message(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}
