"""Metrics for Prometheus, scraped at ``/metrics``.

The names start with ``redraft_`` and use base units; no label has a request id, a key, or a value
that clients choose freely. Engines keep their own metrics (``vllm:...``) in the same registry.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

from redraft.server.refine.events import Delta, DraftDone, Event, Finished, Thought, ToolCallsDelta
from redraft.server.refine.feedback_form import FORM_ORIGINS, FormOrigin
from redraft.server.refine.trace import Phase, PhaseTotals, Trace

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250)
ITERATIONS = (0, 1, 2, 3, 4, 6, 8)
SCORES = tuple(range(1, 11))


class _Families:
    """All metrics, made once for each registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, help: str, *labels: str) -> Counter:
            return Counter(f"redraft_{name}", help, labels, registry=registry)

        def gauge(name: str, help: str, *labels: str) -> Gauge:
            return Gauge(f"redraft_{name}", help, labels, registry=registry)

        def seconds(name: str, help: str, *labels: str) -> Histogram:
            return Histogram(
                f"redraft_{name}_seconds", help, labels, registry=registry, buckets=SECONDS
            )

        def numbers(name: str, help: str, buckets: tuple[int, ...], *labels: str) -> Histogram:
            return Histogram(f"redraft_{name}", help, labels, registry=registry, buckets=buckets)

        self.requests = counter(
            "requests_total", "HTTP requests, by status class or 'cancelled'", "route", "outcome"
        )
        self.request_seconds = seconds("request", "From request to last byte", "route")
        self.in_flight = gauge("loops_in_flight", "Loops running now")
        self.loops = counter(
            "loops_total", "Loops ended: finished, cancelled, failed", "route", "outcome"
        )
        self.loop_seconds = seconds("loop", "One loop, the wait for its place included", "route")
        self.stops = counter("stops_total", "Why loops ended", "route", "stop_reason")
        self.iterations = numbers("iterations", "Refinements one loop wrote", ITERATIONS, "route")
        self.kept = counter("answers_total", "Answers, by what was kept", "route", "kept")
        self.first_token = seconds(
            "time_to_first_token", "To the first token of any phase", "route"
        )
        self.first_answer = seconds(
            "time_to_first_answer_token", "To the first token sure to be in the answer", "route"
        )
        self.phase_seconds = seconds("phase", "Time one loop spent in a phase", "phase")
        self.prompt_tokens = counter("prompt_tokens_total", "Tokens read", "phase")
        self.cached_tokens = counter(
            "cached_tokens_total", "Tokens read that the prefix cache had", "phase"
        )
        self.completion_tokens = counter("completion_tokens_total", "Tokens written", "phase")
        self.engine_calls = counter("engine_calls_total", "Completions asked for", "phase")
        self.score = numbers("feedback_score", "Scores the feedback gave", SCORES)
        self.malformed = counter("malformed_feedback_total", "Feedback that could not be read")
        self.repetitions = counter(
            "repetitions_total", "Texts that ended because they repeated themselves", "phase"
        )
        self.client_requests = counter("client_requests_total", "Loops, by API key", "client")
        self.client_tokens = counter(
            "client_tokens_total", "Tokens read and written, by API key", "client"
        )
        self.queue_length = gauge("queue_length", "Loops waiting for a place")
        self.queue_wait = seconds("queue_wait", "Time a loop waited for its place")
        self.rejections = counter(
            "admission_rejections_total", "Loops turned away at the door", "reason"
        )
        self.traces = counter("traces_total", "Traces, stored or lost", "outcome")
        self.engine_up = gauge("engine_up", "1 when the engine takes work", "engine")
        self.form = gauge(
            "feedback_form", "1 for what keeps an engine's feedback readable", "engine", "form"
        )
        self.build = gauge("build_info", "Always 1", "version", "model", "style")


_of_registry: WeakKeyDictionary[CollectorRegistry, _Families] = WeakKeyDictionary()


class Metrics:
    """The metrics in one registry; all instances for a registry share them."""

    def __init__(
        self, registry: CollectorRegistry = REGISTRY, *, names_clients: bool = True
    ) -> None:
        self._registry, self._names_clients = registry, names_clients
        if registry not in _of_registry:
            _of_registry[registry] = _Families(registry)
        self._families = _of_registry[registry]

    def loop(self, route: str) -> LoopMetrics:
        """Metrics of one loop; made on arrival, so that its times include the queue."""
        return LoopMetrics(self._families, route)

    def request(self, route: str, outcome: str, seconds: float) -> None:
        """``route`` is a path template, ``outcome`` a status class ("2xx") or "cancelled"."""
        self._families.requests.labels(route, outcome).inc()
        self._families.request_seconds.labels(route).observe(seconds)

    def client(self, name: str, tokens: int) -> None:
        """Count a finished loop of a client, whose name the operator chose."""
        name = name if self._names_clients else "all"
        self._families.client_requests.labels(name).inc()
        self._families.client_tokens.labels(name).inc(tokens)

    def queued(self, length: int) -> None:
        self._families.queue_length.set(length)

    def waited(self, seconds: float) -> None:
        self._families.queue_wait.observe(seconds)

    def rejected(self, reason: str) -> None:
        self._families.rejections.labels(reason).inc()

    def trace(self, stored: bool) -> None:
        self._families.traces.labels("stored" if stored else "lost").inc()

    def engine(self, name: str, up: bool) -> None:
        self._families.engine_up.labels(name).set(up)

    def form(self, name: str, form: FormOrigin) -> None:
        for each in FORM_ORIGINS:
            self._families.form.labels(name, each).set(each == form)

    def serving(self, version: str, model: str, style: str) -> None:
        self._families.build.labels(version, model, style).set(1)

    def exposition(self) -> bytes:
        """Everything in the registry, in the text format that scrapers read."""
        return generate_latest(self._registry)


class LoopMetrics:
    """Measures one loop."""

    def __init__(self, families: _Families, route: str) -> None:
        self._families, self._route = families, route
        self._arrived = time.perf_counter()
        self._has_token = self._has_answer = False
        self._outcome = "cancelled"  # unless the loop ends otherwise
        self.totals: dict[Phase, PhaseTotals] = {}  # filled by the loop
        self.forwarded_tokens = 0  # of direct mode, where the engine reports them

    @contextmanager
    def running(self) -> Iterator[None]:
        self._families.in_flight.inc()
        try:
            yield
        except Exception:
            self._outcome = "failed"
            raise
        finally:
            self._families.in_flight.dec()
            self._families.loops.labels(self._route, self._outcome).inc()
            self._count_totals()

    @property
    def tokens(self) -> int:
        """Read and written so far."""
        usages = [totals.usage for totals in self.totals.values()]
        return self.forwarded_tokens + sum(u.prompt_tokens + u.completion_tokens for u in usages)

    def forwarded(self) -> None:
        """The request was answered in direct mode, for which the engine has its own metrics."""
        self._outcome = "finished"
        self._families.loop_seconds.labels(self._route).observe(self._since_arrival())

    def observe(self, event: Event) -> None:
        match event:
            case Delta(live=live):
                if not self._has_token:
                    self._first_token()
                if live and not self._has_answer:
                    self._first_answer()
            case Thought() | ToolCallsDelta():
                self._first_token()
            case DraftDone(candidate=candidate):
                if candidate.response.tokens:
                    self._first_token()
            case Finished(trace=trace):
                self._first_answer()
                self._finished(trace)

    def _first_token(self) -> None:
        if not self._has_token:
            self._has_token = True
            self._families.first_token.labels(self._route).observe(self._since_arrival())

    def _first_answer(self) -> None:
        if not self._has_answer:
            self._has_answer = True
            self._families.first_answer.labels(self._route).observe(self._since_arrival())

    def _since_arrival(self) -> float:
        return time.perf_counter() - self._arrived

    def _finished(self, trace: Trace) -> None:
        families, route = self._families, self._route
        self._outcome = "finished"
        families.loop_seconds.labels(route).observe(self._since_arrival())
        families.stops.labels(route, trace.stop_reason).inc()
        families.iterations.labels(route).observe(trace.refinements)
        families.kept.labels(route, "refinement" if trace.kept else "draft").inc()
        families.malformed.inc(trace.malformed)
        for score in _scores_written(trace):
            families.score.observe(score)

    def _count_totals(self) -> None:
        """Count tokens and time, also of a loop that was cancelled."""
        families = self._families
        for phase, totals in self.totals.items():
            families.phase_seconds.labels(phase).observe(totals.seconds)
            families.prompt_tokens.labels(phase).inc(totals.usage.prompt_tokens)
            families.cached_tokens.labels(phase).inc(totals.usage.cached_tokens)
            families.completion_tokens.labels(phase).inc(totals.usage.completion_tokens)
            families.engine_calls.labels(phase).inc(totals.usage.calls)
            families.repetitions.labels(phase).inc(totals.repeated)


def _scores_written(trace: Trace) -> Iterator[int]:
    """The scores that engines gave, each once: feedback that ranked the drafts may be the first
    iteration's, too. The caller's own feedback is left out."""
    populations = (trace.drafts, *(i.candidates for i in trace.iterations))
    ranking = [c.feedback for candidates in populations for c in candidates if c.feedback]
    later = [i.feedback for i in trace.iterations if all(i.feedback is not r for r in ranking)]
    for feedback in (*ranking, *later):
        if feedback.source and feedback.score is not None:
            yield feedback.score
