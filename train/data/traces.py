"""Traces as JSON: what the server stores and answers with, read back into the record it came from.

Understands the lines of the server's trace store and the responses of /v1/refine, alone or with
the request beside them: {"instruction": [...], "drafts": [...], "iterations": [...], ...}, or
{"messages": [...], "refine": {"trace": {...}}}.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from redraft.server import jsonl
from redraft.server.refine.trace import (
    Candidate,
    Feedback,
    Instruction,
    Iteration,
    ResponseText,
    Trace,
)
from redraft.train.data.records import messages_from, messages_json


def read(path: Path) -> Iterator[Trace]:
    """The traces of a file, or of all .jsonl files of a folder, oldest first."""
    files = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    if not files:
        raise FileNotFoundError(f"no .jsonl files in {path}")
    for file in files:
        for line in jsonl.lines(file, torn_end=True):
            try:
                yield from_json(line.row())
            except (KeyError, TypeError, IndexError) as error:
                raise line.error(f"a trace ({error!r})") from error


def from_json(row: Mapping[str, Any]) -> Trace:
    refined = row.get("refine")
    holder = refined if isinstance(refined, Mapping) else row
    told = holder.get("trace") or holder
    asked = row["instruction"] if "instruction" in row else row["messages"]
    if isinstance(asked, str):
        asked = [{"role": "user", "content": asked}]
    return Trace(
        instruction=Instruction(messages_from(asked)),
        drafts=tuple(_candidate(draft) for draft in told["drafts"]),
        picked=told["picked"],
        iterations=tuple(_iteration(iteration) for iteration in told["iterations"]),
        kept=told["kept"],
        stop_reason=told["stop_reason"],
    )


def to_json(trace: Trace) -> dict[str, Any]:
    """With token ids, for training on exactly what was sampled."""
    return {
        "instruction": messages_json(trace.instruction.messages),
        "drafts": [_candidate_json(draft) for draft in trace.drafts],
        "picked": trace.picked,
        "iterations": [_iteration_json(iteration) for iteration in trace.iterations],
        "kept": trace.kept,
        "stop_reason": trace.stop_reason,
    }


def _candidate(told: Mapping[str, Any]) -> Candidate:
    feedback = told.get("feedback")
    return Candidate(_response(told), _feedback(feedback) if feedback else None)


def _iteration(told: Mapping[str, Any]) -> Iteration:
    refinement = told.get("refinement")
    return Iteration(_feedback(told["feedback"]), _response(refinement) if refinement else None)


def _response(told: Mapping[str, Any]) -> ResponseText:
    return ResponseText(
        told["text"],
        tuple(told.get("token_ids", ())),
        finish_reason=told.get("finish_reason", "stop"),
    )


def _feedback(told: Mapping[str, Any]) -> Feedback:
    return Feedback(
        told["text"],
        tuple(told.get("token_ids", ())),
        score=told.get("score"),
        weaknesses=told.get("weaknesses", ""),
        suggestions=told.get("suggestions", ""),
    )


def _candidate_json(candidate: Candidate) -> dict[str, Any]:
    scored = {"feedback": _feedback_json(candidate.feedback)} if candidate.feedback else {}
    return {**_response_json(candidate.response), **scored}


def _iteration_json(iteration: Iteration) -> dict[str, Any]:
    better = iteration.refinement
    return {
        "feedback": _feedback_json(iteration.feedback),
        "refinement": _response_json(better) if better else None,
    }


def _response_json(response: ResponseText) -> dict[str, Any]:
    return {
        "text": response.text,
        "finish_reason": response.finish_reason,
        "token_ids": list(response.token_ids),
    }


def _feedback_json(feedback: Feedback) -> dict[str, Any]:
    return {
        "text": feedback.text,
        "score": feedback.score,
        "weaknesses": feedback.weaknesses,
        "suggestions": feedback.suggestions,
        "token_ids": list(feedback.token_ids),
    }
