"""In one breath: phases of one loop as parts of one generation, which ends each with its marker.

Phases that continue one token sequence and are sampled alike need no call each: a model that was
trained on the whole sequence writes the next marker by itself and goes on. A phase ends at the
marker, as it does by a call of its own. The next phase reads on where its prompt is exactly what
the generation has read and written so far; in any other case, the generation is ended and the
phase is a call like any other. A marker is the exact tokens of it, which the engine generated, so
no text of others can pass for one; one that the model spells in other tokens ends its phase, as it
does by a call of its own, and the generation with it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace

from redraft.server.engine.base import Call, Chunk, Engine, Mark, Prompt, Sampling, Tokens, Usage
from redraft.server.engine.stop_strings import Released, StopStrings
from redraft.server.refine.policy import Policy
from redraft.server.refine.trace import Phase

Asked = tuple[Engine, str | None, Sampling]  # by whom, its adapter; without the limits of a phase


def follow_at_once(policy: Policy) -> tuple[Phase, ...]:
    """The phases after which the next may follow in the same generation: nothing but the model has
    a say between them."""
    if not policy.one_breath or policy.verifies or policy.feedback_only:
        return ()
    if policy.feedback_by != "model" or policy.feedback_votes > 1 or policy.combine != "best":
        return ()
    if not (_plain(policy.feedback, policy.seed) and alike(policy.feedback, policy.refinement)):
        return ()
    together = policy.drafts == 1 and alike(policy.draft, policy.feedback)
    return ("draft", "feedback") if together else ("feedback",)


def alike(one: Sampling, other: Sampling) -> bool:
    """Whether they differ in their limits at most, and in seeds, which ``_plain`` is about."""
    return _unlimited(one) == _unlimited(other)


def _unlimited(sampling: Sampling) -> Sampling:
    return replace(sampling, max_tokens=None, seed=None)


def _plain(sampling: Sampling, seed: int | None) -> bool:
    """Without anything that counts from the beginning of a completion, and so of its phase."""
    rest = replace(
        _unlimited(sampling), temperature=None, top_p=None, top_k=None, min_p=None, logit_bias=()
    )
    return rest == Sampling() and (seed is None or sampling.temperature == 0)


@dataclass(slots=True)
class _Generation:
    """One that phases read on."""

    chunks: AsyncGenerator[Chunk, None]
    asked: Asked
    sequence: tuple[int, ...]  # all it has read and written
    tokens: int = 0  # the part that it has written
    at_mark: bool = False  # it waits for the next phase

    def continues(self, asked: Asked, prompt: Prompt) -> bool:
        """Whether what it writes next is what is asked for."""
        return self.at_mark and self.asked == asked and prompt == Tokens(self.sequence)


class Breath:
    """The generation that the next phase of a loop may read on."""

    def __init__(self, policy: Policy, *, alone: bool) -> None:
        """``alone``: neither a critic nor the caller writes any of the feedback."""
        self._policy, self._phases = policy, follow_at_once(policy) if alone else ()
        self._generation: _Generation | None = None

    def goes_on(self, phase: Phase, iteration: int, attempt: int) -> bool:
        """Whether another phase may follow this one at once."""
        last = max(1, iteration) > self._policy.max_iterations
        return phase in self._phases and attempt == 1 and not last

    async def generate(
        self,
        engine: Engine,
        prompt: Prompt,
        sampling: Sampling,
        call: Call,
        marks: tuple[Mark, ...] = (),
    ) -> tuple[AsyncGenerator[Chunk, None], int]:
        """The chunks of one phase, and the number of calls that this takes: none where it reads on.
        ``marks``: where another phase may follow, the markers to write on after."""
        asked = (engine, call.adapter, _unlimited(sampling))
        running = self._generation
        if running is not None and running.continues(asked, prompt):
            running.at_mark = False
            return _part(running, sampling), 0
        await self.close()
        if not (marks and engine.writes_on and isinstance(prompt, Tokens)):
            return engine.generate(prompt, sampling, call), 1
        chunks = engine.generate(prompt, self._through(marks, sampling, engine, prompt), call)
        self._generation = _Generation(chunks, asked, prompt.ids)
        return _part(self._generation, sampling), 1

    async def close(self) -> None:
        """End the generation, also between two phases."""
        if self._generation is not None:
            await self._generation.chunks.aclose()
            self._generation = None

    def _through(
        self, marks: tuple[Mark, ...], sampling: Sampling, engine: Engine, prompt: Tokens
    ) -> Sampling:
        """For the first phase and those that may follow it, together."""
        policy, room = self._policy, engine.window - len(prompt.ids)
        limits = (
            sampling.max_tokens,
            policy.feedback.max_tokens or policy.most_tokens("feedback"),
            policy.refinement.max_tokens or policy.most_tokens("refinement"),
        )
        most = min(room, sum(room if limit is None else limit for limit in limits))
        ends = tuple(token for token in sampling.stop_token_ids if (token,) not in marks)
        return replace(
            sampling, max_tokens=most, seed=None, stop=(), stop_token_ids=ends, marks=marks
        )


async def _part(generation: _Generation, sampling: Sampling) -> AsyncGenerator[Chunk, None]:
    """One part, as a completion of its own; a part that its marker has ended leaves the
    generation running."""
    prompt, before, limit = generation.sequence, generation.tokens, sampling.max_tokens
    text = StopStrings(sampling.stop)  # the markers that are text
    ids: list[int] = []
    together: list[Released] = []  # what came with the next chunk, and is told with it
    try:
        async for chunk in generation.chunks:
            assert chunk.usage is not None  # as marks have it
            usage, spent = chunk.usage, chunk.usage.completion_tokens - before
            if limit is not None and spent > limit:  # the token that reached it had no text
                chunk, spent = Chunk("", finish_reason="length"), limit
            piece = text.push(chunk.text, chunk.token_ids)
            ids.extend(piece.token_ids)
            ended = chunk.finish_reason or ("length" if spent == limit else None)
            if chunk.mark or text.found:
                ended = "stop"
            together.append(piece)
            if ended is None:
                if not chunk.more:
                    told = _joined(together)
                    together.clear()
                    if told.text:
                        yield replace(told, usage=_usage(usage, prompt, before, spent))
                continue
            rest = text.flush()
            ids.extend(rest.token_ids)
            if chunk.mark and len(ids) + len(chunk.mark) == spent:  # no token without text missing
                generation.sequence = (*prompt, *ids, *chunk.mark)
                generation.tokens += spent
                generation.at_mark = True
            encoded = await generation.asked[0].encode(piece.fragment) if piece.fragment else ()
            told = _joined((*together, Released(piece.fragment, encoded), rest))
            yield replace(told, finish_reason=ended, usage=_usage(usage, prompt, before, spent))
            return
    finally:
        if not generation.at_mark:
            await generation.chunks.aclose()


def _joined(pieces: Sequence[Released]) -> Chunk:
    text = "".join(piece.text for piece in pieces)
    return Chunk(text, tuple(token for piece in pieces for token in piece.token_ids))


def _usage(usage: Usage, prompt: tuple[int, ...], before: int, spent: int) -> Usage:
    """A phase that reads on has a prompt like any other, of which only the last token of its marker
    was not processed before."""
    if not before:
        return replace(usage, completion_tokens=spent)
    return Usage(len(prompt), spent, len(prompt) - 1)
