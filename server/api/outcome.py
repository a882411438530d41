"""Outcome: what a finished loop adds to an OpenAI answer, its ``usage`` and its ``refine``."""

from __future__ import annotations

from typing import Any

from redraft.server.refine.trace import Trace
from redraft.server.refine.trace_json import trace_json, usage_by_phase


def usage_json(trace: Trace) -> dict[str, Any]:
    """All phases together: what was really processed. Everything but the answer is reasoning."""
    usage = trace.usage
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {
            "reasoning_tokens": usage.completion_tokens - trace.answer.tokens
        },
    }


def refine_json(trace: Trace, with_trace: bool) -> dict[str, Any]:
    drafting = trace.totals.get("draft")
    prompt_tokens = drafting.usage.prompt_tokens // drafting.usage.calls if drafting else None
    return {
        "stop_reason": trace.stop_reason,
        "iterations": trace.refinements,
        "kept": trace.kept,
        "scores": list(trace.scores),
        # Of the request alone, for clients that show how full the window is.
        "prompt_tokens": prompt_tokens,
        "usage": usage_by_phase(trace),
        **({"malformed": trace.malformed} if trace.malformed else {}),
        **({"failure": trace.failure} if trace.failure else {}),
        **({"trace": trace_json(trace)} if with_trace else {}),
    }


def headers(trace: Trace) -> dict[str, str]:
    """For logs and scripts that look at no body."""
    return {
        "refine-iterations": str(trace.refinements),
        "refine-stop-reason": trace.stop_reason,
    }
