"""Combining: one answer from several candidates (``combine: candidates``).

The drafts are the first population. Each iteration but the last writes as many new candidates side
by side, each from the population or a random ``subset`` of it, and they are the next population.
The last iteration writes the answer. With one iteration that is "fusion", with more it is PDR
(arXiv 2510.01123), with ``subset`` RSA (arXiv 2509.26626).

What is asked for is a refinement of the best candidate. The others are quoted in the feedback on
it, between fences, each with the feedback on it: both styles have a place for feedback and none for
a second response, and a model trained to refine one response still sees what it was trained on.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from redraft.server.engine.base import Sampling
from redraft.server.refine import limits, stopping
from redraft.server.refine.asking import Ask, Asker
from redraft.server.refine.candidates import Asking, Candidates
from redraft.server.refine.events import Event
from redraft.server.refine.fence import fence_of, fenced
from redraft.server.refine.phases import Phases, Step
from redraft.server.refine.policy import PAPER_DRAFT_TEMPERATURE, Policy
from redraft.server.refine.trace import Candidate, Feedback, ResponseText, StopReason
from redraft.server.refine.verifying import Verifying

OTHERS = """\
There are other responses to the same instruction. Each is quoted between [begin {fence}] and \
[end {fence}]. Take from them what is right and what this response lacks."""


class Combining:
    """The population of one loop. ``stopped``, ``malformed`` and ``failure`` are as in
    ``Candidates``, of all that were written since the drafts."""

    def __init__(
        self,
        asker: Asker,
        critic: Asker,
        policy: Policy,
        phases: Phases,
        verifying: Verifying,
        drafts: Sequence[Candidate],
    ) -> None:
        self._asker, self._critic = asker, critic
        self._policy, self._phases, self._verifying = policy, phases, verifying
        self._population = list(drafts)
        self._left_out: set[int] = set()
        self.wrote = False  # the latest iteration has written candidates
        self.repeats = False  # and none that the population before did not have
        self.stopped: StopReason | None = None
        self.malformed = 0
        self.failure: str | None = None

    @property
    def population(self) -> tuple[Candidate, ...]:
        return tuple(self._population)

    @property
    def best(self) -> Candidate:
        return self._population[stopping.best_of(self._population)]

    @property
    def left_out(self) -> tuple[int, ...]:
        """The candidates that the requests of this iteration had no room for."""
        return tuple(sorted(self._left_out))

    async def ask(self, iteration: int, index: int = 0) -> Ask:
        """The request for a refinement of all candidates, or of the subset drawn for ``index``.
        Those past the window are left out, the longest first."""
        if index == 0:
            self._left_out = set()
        seen = self._drawn(iteration, index)
        while True:
            candidates = [self._population[i] for i in seen]
            lead = stopping.best_of(candidates)
            response = candidates[lead].response
            others = [c for i, c in enumerate(candidates) if i != lead and c.response.text.strip()]
            feedback = together(response, candidates[lead].feedback or Feedback(""), others)
            ask = await self._asker.refinement(response, feedback)
            if len(seen) == 1 or await self._fits(ask):
                return ask
            longest = max(seen, key=lambda i: (len(self._population[i].response.text), i))
            seen.remove(longest)
            self._left_out.add(longest)

    async def candidates(self, iteration: int) -> AsyncIterator[Event]:
        """Write the next population."""
        writing = Candidates(self._asker, self._critic, self._policy, self._phases, self._verifying)
        before = {candidate.response.text.strip() for candidate in self._population}
        asks = [self._asking(iteration, index) for index in range(self._policy.drafts)]
        step = Step("refinement", self._sampling(), iteration)
        try:
            async for event in writing.events(asks, step):
                yield event
        finally:
            self.malformed += writing.malformed
            self.failure = writing.failure or self.failure
        self.stopped, self.wrote = writing.stopped, bool(writing.written)
        if self.wrote:
            self._population = list(writing.written.values())
            texts = {candidate.response.text.strip() for candidate in self._population}
            self.repeats = texts - {""} <= before

    def _asking(self, iteration: int, index: int) -> Asking:
        return lambda: self.ask(iteration, index)

    def _drawn(self, iteration: int, index: int) -> list[int]:
        places = list(range(len(self._population)))
        if self._policy.subset is None or self._policy.subset >= len(places):
            return places
        # Without a seed, too, the same request draws the same.
        draw = random.Random(f"{self._policy.seed}/subset/{iteration}/{index}")
        return sorted(draw.sample(places, self._policy.subset))

    def _sampling(self) -> Sampling:
        """Of candidates: as drafts are sampled, or all of them would be the same."""
        draft, refinement = self._policy.draft, self._policy.refinement
        if refinement.temperature:
            return refinement
        temperature = PAPER_DRAFT_TEMPERATURE if draft.temperature is None else draft.temperature
        return replace(
            refinement,
            temperature=temperature,
            top_p=draft.top_p,
            top_k=draft.top_k,
            min_p=draft.min_p,
        )

    async def _fits(self, ask: Ask) -> bool:
        """Whether the window has room for the refinement, or a third of it, after the request."""
        engine, policy = self._asker.engine, self._policy
        most = policy.refinement.max_tokens or policy.most_tokens("refinement") or engine.window
        room = min(most, engine.window // 3)
        return await limits.prompt_tokens(engine, ask.prompt) + room <= engine.window


def together(response: ResponseText, own: Feedback, others: Sequence[Candidate]) -> Feedback:
    """The feedback on a response, followed by the other responses and the feedback on each."""
    if not others:
        return own
    texts = [c.response.text for c in others] + [c.feedback.text for c in others if c.feedback]
    fence = fence_of(response.text, own.text, *texts)
    parts = [own.text, OTHERS.format(fence=fence)]
    for number, candidate in enumerate(others, start=2):
        parts.append(f"Response {number}:\n{fenced(candidate.response.text, fence)}")
        if candidate.feedback and candidate.feedback.text:
            quoted = fenced(candidate.feedback.text, fence)
            parts.append(f"Feedback on response {number}:\n{quoted}")
    return Feedback("\n\n".join(part for part in parts if part))
