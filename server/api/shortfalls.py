"""Shortfalls: what a token limit cost an answer, in a sentence for its reader.

Clients drop ``refine``, so an answer that could not be refined says so in the header
``redraft-warning`` and in the first line of its reasoning; a stream, whose header is sent before
the limit is met, in its last line. An answer that was cut itself has the finish reason ``length``.
"""

from __future__ import annotations

from starlette.requests import Request

from redraft.server.api import warnings
from redraft.server.refine.policy import Policy
from redraft.server.refine.trace import Phase, ResponseText, Trace

CUT_FORM = (
    "the answer was cut before the required form was complete; raise max_tokens, or bound what "
    "may be long (maxLength, maxItems)"
)


def warn_of(request: Request, trace: Trace, policy: Policy) -> list[str]:
    """The shortfalls, which are in the response's header then, as is a required form that was cut
    before it was complete."""
    if policy.draft.constraint is not None and trace.answer.finish_reason == "length":
        warnings.warn(request, CUT_FORM)
    notes = shortfalls(trace, policy)
    for shortfall in notes:
        warnings.warn(request, shortfall)
    return notes


def shortfalls(trace: Trace, policy: Policy) -> list[str]:
    if not policy.refines:
        return []
    notes = []
    *_, last = trace.responses
    kept = "the draft" if trace.kept == 0 else "an earlier response"
    if trace.answer.finish_reason == "length":
        notes.append(f"the answer {_ended(trace.answer, trace, policy)}")
    elif last.finish_reason == "length":
        notes.append(f"the refinement {_ended(last, trace, policy)}, so the answer is {kept}")
    if trace.left_out:
        *_, written = (i for i in range(len(trace.iterations)) if trace.iterations[i].refinement)
        many = len(trace.population(written))
        notes.append(f"{len(trace.left_out)} of {many} candidates did not fit the model's window")
    if trace.stop_reason == "token_budget" and policy.token_budget is None:
        limit = "the model's window" if policy.total_tokens is None else "max_completion_tokens"
        notes.append(f"{limit} left no room to refine {'it' if notes else 'the answer'}")
    return notes


def _ended(response: ResponseText, trace: Trace, policy: Policy) -> str:
    """Why a response is shorter than its writer meant it to be."""
    phase: Phase = "draft" if response is trace.draft else "refinement"
    totals = trace.totals.get(phase)
    if totals is not None and totals.repeated:
        return "repeated itself and was ended"
    sampling = policy.draft if phase == "draft" else policy.refinement
    if sampling.max_tokens is not None and response.tokens >= sampling.max_tokens:
        return f"was cut at max_tokens {sampling.max_tokens} (more may help)"
    if policy.response_tokens is not None and response.tokens >= policy.response_tokens:
        return f"was cut at this server's default of {policy.response_tokens} tokens"
    return f"was cut at {response.tokens} tokens"
