"""Times of answered requests, and summaries of many."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from statistics import median
from typing import Any, Self

from redraft.benchmarks.output.results import plain
from redraft.benchmarks.stats.intervals import Interval, median_interval


@dataclass(frozen=True, slots=True)
class Load:
    """The sampling that all systems share."""

    phase_tokens: int  # at most, or exactly where the system lets one say so
    temperature: float = 1.0


@dataclass(frozen=True, slots=True)
class LoadCell:
    """One setting of the load: a number of concurrent requests, or an arrival rate."""

    prompt_tokens: int
    iterations: int
    concurrency: int = 0
    rate: float = 0.0

    @property
    def name(self) -> str:
        load = f"{self.rate:g}/s" if self.rate else f"x{self.concurrency}"
        return f"{self.prompt_tokens} tokens, {self.iterations} iterations, {load}"

    @property
    def columns(self) -> tuple[int, int, float]:
        return self.prompt_tokens, self.iterations, self.rate or self.concurrency


@dataclass(frozen=True, slots=True)
class Timing:
    """Times of one answer, in seconds since the request was due: a late start counts."""

    first_token_s: float  # of anything the model wrote
    first_answer_s: float  # of the answer
    total_s: float
    tokens: int  # generated, everything that is not shown included
    prompt_tokens: int = 0
    cached_tokens: int = 0
    phases: dict[str, float] = field(default_factory=dict)  # seconds in each

    def json(self) -> dict[str, Any]:
        return {
            name: round(value, 5) if isinstance(value, float) else value
            for name, value in asdict(self).items()
        }


@dataclass(frozen=True, slots=True)
class Batch:
    """The requests of one system in one cell and repeat."""

    system: str
    cell: str
    repeat: int
    seconds: float  # from the first that was due to the last that was done
    timings: tuple[Timing, ...]
    failures: Mapping[str, int] = field(default_factory=dict)  # by reason
    cpu_s: float = math.nan  # of all the servers' processes; NaN where they run elsewhere
    server_cpu_s: float = math.nan  # without the engines' processes

    def json(self) -> dict[str, Any]:
        return {**plain(self), "timings": [timing.json() for timing in self.timings]}

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Self:
        """From a record of the journal, where null stands for NaN."""
        values = {each.name: content[each.name] for each in fields(cls)}
        values |= {name: math.nan for name in ("cpu_s", "server_cpu_s") if values[name] is None}
        return cls(**values | {"timings": tuple(Timing(**each) for each in values["timings"])})

    @property
    def failed(self) -> int:
        return sum(self.failures.values())

    @property
    def first_token_s(self) -> float:
        return median_interval([timing.first_token_s for timing in self.timings]).estimate

    @property
    def answer_s(self) -> float:
        return median_interval([timing.total_s for timing in self.timings]).estimate

    @property
    def tokens(self) -> int:
        return sum(timing.tokens for timing in self.timings)

    @property
    def cpu_per_token(self) -> float:
        return self.cpu_s / self.tokens if self.tokens else math.nan

    @property
    def server_cpu_per_token(self) -> float:
        return self.server_cpu_s / self.tokens if self.tokens else math.nan

    @property
    def tokens_per_s(self) -> float:
        return self.tokens / self.seconds

    @property
    def answers_per_s(self) -> float:
        return len(self.timings) / self.seconds

    @property
    def seconds_per_token(self) -> float:
        return self.seconds / self.tokens if self.tokens else math.nan


@dataclass(frozen=True, slots=True)
class Summary:
    """All batches of one system in one cell."""

    first_token_s: Interval
    first_answer_s: Interval
    total_s: Interval
    tokens_per_s: Interval
    answers_per_s: Interval
    cpu_per_token_s: Interval
    server_cpu_per_token_s: Interval
    tokens_per_answer: float  # in the mean
    answered: int
    failed: int
    phases_s: dict[str, float]  # medians


def summarise(batches: Sequence[Batch]) -> Summary:
    timings = [timing for batch in batches for timing in batch.timings]
    whole = [batch for batch in batches if batch.timings]
    phases = dict.fromkeys(phase for timing in timings for phase in timing.phases)
    return Summary(
        first_token_s=median_interval([timing.first_token_s for timing in timings]),
        first_answer_s=median_interval([timing.first_answer_s for timing in timings]),
        total_s=median_interval([timing.total_s for timing in timings]),
        tokens_per_s=median_interval([batch.tokens_per_s for batch in whole]),
        answers_per_s=median_interval([batch.answers_per_s for batch in whole]),
        cpu_per_token_s=_of_finite([batch.cpu_per_token for batch in whole]),
        server_cpu_per_token_s=_of_finite([batch.server_cpu_per_token for batch in whole]),
        tokens_per_answer=sum(timing.tokens for timing in timings) / max(1, len(timings)),
        answered=len(timings),
        failed=sum(batch.failed for batch in batches),
        phases_s={
            phase: median([timing.phases.get(phase, 0.0) for timing in timings]) for phase in phases
        },
    )


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Interval:
    """The median ratio of the same repeats, in which slow phases of the machine cancel out."""
    pairs = [(mine, other) for mine, other in zip(ours, theirs, strict=True) if other]
    return _of_finite([mine / other for mine, other in pairs])


def _of_finite(values: Sequence[float]) -> Interval:
    return median_interval([value for value in values if math.isfinite(value)])


def goodput(batch: Batch, answer_within_s: float, total_within_s: float) -> float:
    """Answers a second that began and ended in time. Late answers and failures do not count."""
    good = sum(
        timing.first_answer_s <= answer_within_s and timing.total_s <= total_within_s
        for timing in batch.timings
    )
    return good / batch.seconds
