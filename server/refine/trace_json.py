"""THE JSON form of a trace: in ``/v1/refine`` responses, ``refine.trace`` of a chat, the store."""

from __future__ import annotations

from typing import Any

from redraft.server.engine.base import Message, Usage
from redraft.server.refine.trace import (
    Candidate,
    Feedback,
    Iteration,
    Phase,
    ResponseText,
    Trace,
)

PHASES: tuple[Phase, ...] = ("draft", "feedback", "refinement")


def trace_json(trace: Trace) -> dict[str, Any]:
    """All but the instruction, which whoever asked has."""
    return {
        "drafts": [candidate_json(draft) for draft in trace.drafts],
        "picked": trace.picked,
        "iterations": [_iteration(iteration) for iteration in trace.iterations],
        "kept": trace.kept,
        "scores": list(trace.scores),
        "stop_reason": trace.stop_reason,
        "malformed": trace.malformed,
        "failure": trace.failure,
    }


def instruction_json(messages: tuple[Message, ...]) -> list[dict[str, str]]:
    return [
        {"role": m.role, "content": m.content} | ({"name": m.name} if m.name else {})
        for m in messages
    ]


def usage_by_phase(trace: Trace) -> dict[str, dict[str, int | float]]:
    """What each kind of phase cost; those that did not happen cost nothing."""
    return {
        phase: {**_usage(totals.usage), "seconds": round(totals.seconds, 6)}
        for phase in PHASES
        if (totals := trace.totals.get(phase))
    }


def feedback_json(feedback: Feedback) -> dict[str, Any]:
    return {
        "text": feedback.text,
        "weaknesses": feedback.weaknesses,
        "suggestions": feedback.suggestions,
        "score": feedback.score,
    }


def response_json(response: ResponseText) -> dict[str, Any]:
    return {
        "text": response.text,
        "finish_reason": response.finish_reason,
        "tokens": response.tokens,
    }


def candidate_json(candidate: Candidate) -> dict[str, Any]:
    scored = {"feedback": feedback_json(candidate.feedback)} if candidate.feedback else {}
    return {**response_json(candidate.response), **scored}


def _iteration(iteration: Iteration) -> dict[str, Any]:
    refinement = iteration.refinement
    return {
        "feedback": feedback_json(iteration.feedback),
        "refinement": response_json(refinement) if refinement else None,
    }


def _usage(usage: Usage) -> dict[str, int]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "cached_tokens": usage.cached_tokens,
        "calls": usage.calls,
    }
