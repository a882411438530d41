"""Writes and reads the JSON form of a trace: in ``/v1/refine`` responses, ``refine.trace`` of a
chat, the trace store, and the trainer's ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from redraft.server.engine.base import Message
from redraft.server.refine.checks import Finding
from redraft.server.refine.trace import (
    Candidate,
    Feedback,
    Instruction,
    Iteration,
    Phase,
    PhaseTotals,
    ResponseText,
    Trace,
)

Json = dict[str, Any]
PHASES: tuple[Phase, ...] = ("draft", "feedback", "refinement")


def trace_json(trace: Trace, *, token_ids: bool = False) -> Json:
    """All but the instruction, which the caller of the API has. ``token_ids``: for training on
    exactly the tokens that were sampled."""
    return {
        "drafts": [candidate_json(draft, token_ids) for draft in trace.drafts],
        "picked": trace.picked,
        "iterations": [_iteration_json(iteration, token_ids) for iteration in trace.iterations],
        "kept": trace.kept,
        **kept_candidate_json(trace),
        "scores": list(trace.scores),
        "stop_reason": trace.stop_reason,
        "malformed": trace.malformed,
        "failure": trace.failure,
    }


def kept_candidate_json(trace: Trace) -> Json:
    """Only where the answer is neither the draft that was picked nor a refinement."""
    return {} if trace.kept_candidate is None else {"kept_candidate": trace.kept_candidate}


def record_json(trace: Trace, *, token_ids: bool = False) -> Json:
    """A trace on disk: with its instruction, answer and usage."""
    return {
        "instruction": [message.to_json() for message in trace.instruction.messages],
        "answer": trace.answer.text,
        **trace_json(trace, token_ids=token_ids),
        "usage": usage_by_phase(trace),
    }


def read_trace(row: Mapping[str, Any]) -> Trace:
    """The trace of a record, or of a ``/v1/refine`` or chat response with ``messages`` added to
    it; KeyError, TypeError or IndexError when it is neither. Usage is not read."""
    refined = row.get("refine")
    holder = refined if isinstance(refined, Mapping) else row
    content = holder.get("trace") or holder
    messages = row["instruction"] if "instruction" in row else row["messages"]
    if isinstance(messages, str):
        messages = [{"role": "user", "content": messages}]
    return Trace(
        instruction=Instruction(tuple(map(Message.from_json, messages))),
        drafts=tuple(map(_candidate, content["drafts"])),
        picked=content["picked"],
        iterations=tuple(map(_iteration, content["iterations"])),
        kept=content["kept"],
        kept_candidate=content.get("kept_candidate"),
        stop_reason=content["stop_reason"],
        malformed=content.get("malformed", 0),
        failure=content.get("failure"),
    )


def usage_by_phase(trace: Trace) -> dict[str, dict[str, int | float]]:
    """The cost of each kind of phase that happened."""
    return {phase: _cost_json(totals) for phase in PHASES if (totals := trace.totals.get(phase))}


def _cost_json(totals: PhaseTotals) -> dict[str, int | float]:
    cost = {**asdict(totals.usage), "seconds": round(totals.seconds, 6)}
    if not totals.usage.thought_tokens:
        del cost["thought_tokens"]
    return cost


def feedback_json(feedback: Feedback, token_ids: bool = False) -> Json:
    content: Json = {
        "text": feedback.text,
        "weaknesses": feedback.weaknesses,
        "suggestions": feedback.suggestions,
        "score": feedback.score,
    }
    content |= {"thought": feedback.thought} if feedback.thought else {}
    if feedback.votes:
        content["votes"] = [feedback_json(vote, token_ids) for vote in feedback.votes]
    return content | ({"token_ids": list(feedback.token_ids)} if token_ids else {})


def response_json(response: ResponseText, token_ids: bool = False) -> Json:
    content: Json = {
        "text": response.text,
        "finish_reason": response.finish_reason,
        "tokens": response.tokens,
    }
    content |= {"thought": response.thought} if response.thought else {}
    content |= {"tool_calls": list(response.tool_calls)} if response.tool_calls else {}
    if response.findings:
        content["checks"] = findings_json(response.findings)
    return content | ({"token_ids": list(response.token_ids)} if token_ids else {})


def findings_json(findings: Sequence[Finding]) -> list[Json]:
    return [
        {"check": finding.check.to_json(), "passed": finding.passed, "why": finding.found}
        for finding in findings
    ]


def candidate_json(candidate: Candidate, token_ids: bool = False) -> Json:
    content = response_json(candidate.response, token_ids)
    if candidate.feedback:
        content["feedback"] = feedback_json(candidate.feedback, token_ids)
    return content


def _iteration_json(iteration: Iteration, token_ids: bool) -> Json:
    refinement = iteration.refinement
    content: Json = {
        "feedback": feedback_json(iteration.feedback, token_ids),
        "refinement": response_json(refinement, token_ids) if refinement else None,
    }
    if iteration.candidates:
        content["candidates"] = [candidate_json(c, token_ids) for c in iteration.candidates]
    return content | ({"left_out": list(iteration.left_out)} if iteration.left_out else {})


def _candidate(content: Mapping[str, Any]) -> Candidate:
    feedback = content.get("feedback")
    return Candidate(_response(content), _feedback(feedback) if feedback else None)


def _iteration(content: Mapping[str, Any]) -> Iteration:
    refinement = content.get("refinement")
    return Iteration(
        _feedback(content["feedback"]),
        _response(refinement) if refinement else None,
        tuple(map(_candidate, content.get("candidates", ()))),
        tuple(content.get("left_out", ())),
    )


def _response(content: Mapping[str, Any]) -> ResponseText:
    return ResponseText(
        content["text"],
        tuple(content.get("token_ids", ())),
        finish_reason=content.get("finish_reason", "stop"),
        tokens=content.get("tokens", 0),
        thought=content.get("thought", ""),
        tool_calls=tuple(content.get("tool_calls", ())),
    )


def _feedback(content: Mapping[str, Any]) -> Feedback:
    return Feedback(
        content["text"],
        tuple(content.get("token_ids", ())),
        score=content.get("score"),
        weaknesses=content.get("weaknesses", ""),
        suggestions=content.get("suggestions", ""),
        thought=content.get("thought", ""),
        votes=tuple(map(_feedback, content.get("votes", ()))),
    )
