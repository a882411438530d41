"""Running usage: the tokens of a loop so far, for ``stream_options.continuous_usage_stats``."""

from __future__ import annotations

from collections.abc import Mapping

from redraft.server.api.schema.answers import UsageAnswer
from redraft.server.api.schema.requests import Generation
from redraft.server.engine.base import Usage
from redraft.server.refine.events import Delta, Event, Thought, ToolCallsDelta
from redraft.server.refine.trace import Phase, PhaseTotals
from redraft.server.service import Job


def running_usage(request: Generation, job: Job) -> RunningUsage | None:
    """None unless the request asks for it."""
    return RunningUsage(job.totals) if request.continuous_usage else None


class RunningUsage:
    """Exact for the phases that have ended; of the one that runs, a token for each piece of text.
    At the end of the loop it is the usage of the loop."""

    def __init__(self, totals: Mapping[Phase, PhaseTotals]) -> None:
        self._totals = totals  # filled by the loop, phase by phase
        self._pieces = 0

    def add(self, event: Event) -> None:
        written = isinstance(event, Delta | Thought | ToolCallsDelta)
        self._pieces = self._pieces + 1 if written else 0

    def so_far(self) -> UsageAnswer:
        ended = sum((totals.usage for totals in self._totals.values()), Usage())
        completion_tokens = ended.completion_tokens + self._pieces
        return {
            "prompt_tokens": ended.prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": ended.prompt_tokens + completion_tokens,
        }
