"""Voting: feedback on one response, once or several times side by side, where the majority decides.

Feedback that cannot be read is a void vote. The mean of the others is the score, and the text is
that of the vote in their middle. The first vote is the one that is seen while it is written.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from redraft.server.engine.base import EngineError
from redraft.server.refine.asking import Asker
from redraft.server.refine.checks.report import beside
from redraft.server.refine.events import Delta, Thought, ToolCallsDelta
from redraft.server.refine.feedback import read_feedback
from redraft.server.refine.phases import Phases, Step
from redraft.server.refine.srt_format import FormatError
from redraft.server.refine.stopping import Stop
from redraft.server.refine.trace import Feedback, ResponseText

Seen = AsyncGenerator[Delta | Thought | ToolCallsDelta, None]


class Voting:
    """The feedback on one response. ``malformed`` counts void votes, ``failure`` is what the engine
    said to a vote that it failed."""

    def __init__(self, critic: Asker, phases: Phases, response: ResponseText, votes: int) -> None:
        self._critic, self._phases = critic, phases
        self._response, self._votes = response, votes
        self._side_by_side = [phases]
        self._written: list[ResponseText] = []
        self._failed: list[bool] = []
        self.malformed = 0
        self.failure: str | None = None

    @asynccontextmanager
    async def votes(self, step: Step) -> AsyncIterator[Seen]:
        """The first vote, to be read while it is written. All votes are there when the block ends;
        an error when there is none, and when the loop is to stop."""
        engine, ask = self._critic.engine, await self._critic.feedback(self._response)
        ends: list[ResponseText | BaseException] = []
        with self._phases.split(self._votes) as self._side_by_side:
            first, *others = self._side_by_side
            tasks = [
                phases.spawn(phases.whole(engine, ask, replace(step, vote=vote)))
                for vote, phases in enumerate(others, start=1)
            ]
            try:
                yield first.stream(engine, ask, step)
                ends.append(first.written)
            except (EngineError, Stop) as error:
                ends.append(error)
            ends += await asyncio.gather(*tasks, return_exceptions=True)
        self._written = [phases.written for phases in self._side_by_side]
        failures = [end for end in ends if isinstance(end, EngineError)]
        if len(failures) == len(ends):
            raise failures[0]
        for end in ends:
            if isinstance(end, BaseException) and not isinstance(end, EngineError):
                raise end
        self._failed = [isinstance(end, EngineError) for end in ends]
        self.failure = failures[0].told if failures else None

    async def whole(self, step: Step) -> Feedback:
        async with self.votes(step) as first:
            async for _ in first:
                pass
        return self.feedback()

    @property
    def seen(self) -> str:
        """The text of the vote that was streamed."""
        return self._written[0].text

    def feedback(self) -> Feedback:
        """What the votes say together; FormatError when none can be read."""
        votes: list[Feedback] = []
        readable: list[Feedback] = []
        errors: list[FormatError] = []
        for written, failed in zip(self._written, self._failed, strict=True):
            if failed:  # cut anywhere, so that what it seems to say is not what it would have said
                votes.append(self._void(written))
                continue
            try:
                vote = read_feedback(written, self._critic.components)
                readable.append(beside(self._response.findings, vote))
                votes.append(readable[-1])
            except FormatError as error:
                errors.append(error)
                votes.append(self._void(written))
        self.malformed = len(errors)
        if not readable:
            for phases in self._side_by_side:
                phases.check_budget()
            raise errors[0]
        return votes[0] if self._votes == 1 else _verdict(readable, votes)

    def _void(self, written: ResponseText) -> Feedback:
        vote = Feedback(written.text, written.token_ids, written.source, thought=written.thought)
        return beside(self._response.findings, vote)


def _verdict(readable: Sequence[Feedback], votes: Sequence[Feedback]) -> Feedback:
    middle = sorted(readable, key=lambda vote: vote.score or 0)[(len(readable) - 1) // 2]
    voted = replace(middle, votes=tuple(votes))
    return replace(voted, score=None if voted.rating is None else int(voted.rating + 0.5))
