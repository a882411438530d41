"""Outcome: the fields about its loop in every answer: identity, usage, course, headers."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from typing import cast

from redraft.server.api.errors import describe
from redraft.server.api.schema.answers import (
    FindingJson,
    Head,
    LoopSummary,
    PredictedTokens,
    RefineOutcome,
    RefineUsage,
    TraceJson,
    UsageAnswer,
    VoteJson,
)
from redraft.server.api.schema.usage import LoopUsage, PhaseUsage, UsageBound
from redraft.server.engine.base import Usage
from redraft.server.refine.loop import NoDraft
from redraft.server.refine.trace import Feedback, Phase, Trace
from redraft.server.refine.trace_json import (
    feedback_json,
    findings_json,
    trace_json,
    usage_by_phase,
)
from redraft.server.service import Job


def head_of(job: Job, model_name: str) -> Head:
    return {"id": job.request_id, "created": int(time.time()), "model": model_name}


def usage_of(trace: Trace) -> UsageAnswer:
    """The usage of all phases together. Every completion token outside the answer is reasoning."""
    return _usage(trace.usage, [trace])


def _usage(usage: Usage, traces: Collection[Trace]) -> UsageAnswer:
    hidden = usage.completion_tokens - sum(trace.answer.tokens for trace in traces)
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": hidden, **_predicted(traces)},
    }


def _predicted(traces: Iterable[Trace]) -> PredictedTokens:
    told = [trace.predicted for trace in traces if trace.predicted is not None]
    if not told:
        return {}
    return {
        "accepted_prediction_tokens": sum(predicted.accepted for predicted in told),
        "rejected_prediction_tokens": sum(predicted.rejected for predicted in told),
    }


def usage_of_choices(jobs: Iterable[Job], traces: Collection[Trace]) -> UsageAnswer:
    """Of several loops together, those that failed included."""
    totals = (totals.usage for job in jobs for totals in job.totals.values())
    return _usage(sum(totals, Usage()), traces)


def usage_with_phases(trace: Trace) -> RefineUsage:
    phases = cast(dict[Phase, PhaseUsage], usage_by_phase(trace))
    return {**usage_of(trace), "phases": phases, **bound_of(trace)}


def bound_of(trace: Trace) -> UsageBound:
    bounded: UsageBound = {}
    if trace.bound is not None:
        bounded["bound"] = trace.bound
    if trace.bound_by is not None:
        bounded["bound_by"] = trace.bound_by
    return bounded


def trace_of(trace: Trace) -> TraceJson:
    return cast(TraceJson, trace_json(trace))


def checks_of(trace: Trace) -> list[list[FindingJson]]:
    """What the checks found in each response."""
    findings = [findings_json(response.findings) for response in trace.responses]
    return cast(list[list[FindingJson]], findings)


def votes_of(feedback: Feedback) -> list[VoteJson]:
    return cast(list[VoteJson], [feedback_json(vote) for vote in feedback.votes])


def summary_of(trace: Trace, with_trace: bool) -> LoopSummary:
    summary: LoopSummary = {
        "stop_reason": trace.stop_reason,
        "iterations": trace.refinements,
        "kept": trace.kept,
        "scores": list(trace.scores),
    }
    if trace.kept_candidate is not None:
        summary["kept_candidate"] = trace.kept_candidate
    if trace.left_out:
        summary["left_out"] = list(trace.left_out)
    if trace.verified:
        summary["checks"] = checks_of(trace)
    if with_trace:
        summary["trace"] = trace_of(trace)
    return summary


def outcome_of(trace: Trace, with_trace: bool) -> RefineOutcome:
    """The course of the loop, for the ``refine`` field of an OpenAI answer."""
    drafting = trace.totals.get("draft")
    outcome: RefineOutcome = {
        **summary_of(trace, False),  # type: ignore[typeddict-item]  # optional keys follow
        # Of the draft's prompt alone, for clients that show how full the window is.
        "prompt_tokens": drafting.usage.prompt_tokens // drafting.usage.calls if drafting else None,
        "usage": cast(LoopUsage, {**usage_by_phase(trace), **bound_of(trace)}),
    }
    if trace.malformed:
        outcome["malformed"] = trace.malformed
    if trace.repeated:
        outcome["repeated"] = trace.repeated
    if trace.failure:
        outcome["failure"] = trace.failure
    if with_trace:
        outcome["trace"] = trace_of(trace)
    return outcome


def failed(failure: Exception) -> RefineOutcome:
    """The course of a loop that ended without an answer."""
    return {
        "stop_reason": failure.reason if isinstance(failure, NoDraft) else "engine_failure",
        "iterations": 0,
        "kept": 0,
        "scores": [],
        "prompt_tokens": None,
        "usage": {},
        "failure": describe(failure).message,
    }


def headers_of(*traces: Trace) -> dict[str, str]:
    """For logs and scripts that do not read the body."""
    return {
        "refine-iterations": ", ".join(str(trace.refinements) for trace in traces),
        "refine-stop-reason": ", ".join(trace.stop_reason for trace in traces),
    }
