"""Ways of answering a prompt: what each asks, and the answers that one reply holds.

    way = WAYS["itself"]
    way.answers(reply)         {"itself 1": WayAnswer(text, tokens), "itself 2": ..., ...}

A reply holds more answers than one. A loop of three iterations has the answers that loops of one
and of two would have given, and eight scored drafts have the best of the first two and of the
first four: every engine call has a seed of its own, which more drafts or iterations do not change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from redraft.benchmarks.following.asking import GivenChecks
from redraft.benchmarks.following.begun import Reply
from redraft.server.refine import stopping
from redraft.server.refine.checks import Check, Finding
from redraft.server.refine.final_answer import commonest
from redraft.server.refine.trace import Candidate, ResponseText, Trace
from redraft.server.refine.trace_json import read_trace

DIRECT, SAMPLED = "direct", "best of 1"  # the greedy draft, and one that is sampled
MOST_ITERATIONS, MOST_DRAFTS = 3, 8


@dataclass(frozen=True, slots=True)
class WayAnswer:
    text: str
    tokens: int  # generated for it, all phases and drafts


Answers = dict[str, WayAnswer]  # by the name of their row
Reader = Callable[[Reply], Answers]


@dataclass(frozen=True, slots=True)
class AnswerWay:
    """One request for each prompt, and what is read from the reply."""

    refine: Mapping[str, Any]
    answers: Reader
    samples: bool = False  # drafts are sampled; else they are greedy
    checks: GivenChecks = "none"


def loop_of(label: str, iterations: int) -> Reader:
    """The draft, and the answers of loops with up to so many iterations."""

    def read(reply: Reply) -> Answers:
        found = {DIRECT: after(reply, 0)}
        return found | {f"{label} {k}": after(reply, k) for k in range(1, iterations + 1)}

    return read


def last_of(name: str, greedy: bool) -> Reader:
    """The answer as the server gives it; of a greedy draft that draft, too."""

    def read(reply: Reply) -> Answers:
        answer = WayAnswer(reply["answer"], reply["usage"]["completion_tokens"])
        return {DIRECT: after(reply, 0), name: answer} if greedy else {name: answer}

    return read


def after(reply: Reply, iterations: int) -> WayAnswer:
    """What a loop of so many iterations would have answered, and its cost. Tokens of feedback are
    known as a sum; each counts with their mean."""
    trace = _trace(reply)
    responses = [trace.drafts[trace.picked].response]
    responses += [each.refinement for each in trace.iterations if each.refinement]
    seen = _with_findings(reply, responses)[: iterations + 1]
    verifies = any(response.findings for response in seen)
    scores = [None if score is None else float(score) for score in reply["scores"]]
    scores += [None] * (len(responses) - len(scores))
    place = stopping.kept("best" if verifies else "last", seen, scores[: len(seen)])
    feedback = reply["usage"]["phases"].get("feedback", {}).get("completion_tokens", 0)
    written = max(1, len(trace.iterations))  # none could be read: it was paid for all the same
    tokens = sum(response.tokens for response in seen)
    return WayAnswer(
        seen[place].text, round(tokens + feedback * min(iterations, written) / written)
    )


def drafts_of(reply: Reply) -> Answers:
    """The best of the first 1 to 8 drafts by the model's own score, and the votes of 4 and 8."""
    drafts = _trace(reply).drafts
    numbers = range(1, min(MOST_DRAFTS, len(drafts)) + 1)
    feedback = reply["usage"]["phases"].get("feedback", {}).get("completion_tokens", 0)
    found: Answers = {}
    for number in numbers:
        first = drafts[:number]
        tokens = sum(draft.response.tokens for draft in first)
        scoring = feedback * number / len(drafts) if number > 1 else 0.0
        found[f"best of {number}"] = WayAnswer(_best(first).text, round(tokens + scoring))
        if number in (4, MOST_DRAFTS):
            found[f"vote of {number}"] = WayAnswer(_commonest(first).text, tokens)
    return found


def _best(drafts: Sequence[Candidate]) -> ResponseText:
    """As the server picks it."""
    scores = [draft.feedback.rating if draft.feedback else None for draft in drafts]
    if all(score is None for score in scores):
        return drafts[0].response
    return drafts[stopping.kept("best", [draft.response for draft in drafts], scores)].response


def _commonest(drafts: Sequence[Candidate]) -> ResponseText:
    """As ``keep: vote`` picks it, without scores: the first with the commonest final answer."""
    texts = [draft.response.text for draft in drafts]
    return drafts[commonest(texts, [None] * len(texts))].response


def _trace(reply: Reply) -> Trace:
    return read_trace({**reply, "messages": []})


def _with_findings(reply: Reply, responses: Sequence[ResponseText]) -> list[ResponseText]:
    """With which checks each response passes, which a trace that was read does not have."""
    found = reply.get("checks") or [[] for _ in responses]
    return [
        replace(
            response,
            findings=tuple(
                Finding(Check(each["check"]["kind"]), "", each["passed"], each["why"], "")
                for each in of_response
            ),
        )
        for response, of_response in zip(responses, found, strict=False)
    ]


WAYS: dict[str, AnswerWay] = {
    "itself": AnswerWay({"max_iterations": MOST_ITERATIONS}, loop_of("itself", MOST_ITERATIONS)),
    "checks": AnswerWay(
        {"max_iterations": MOST_ITERATIONS}, loop_of("checks", MOST_ITERATIONS), checks="given"
    ),
    "best": AnswerWay({"drafts": MOST_DRAFTS, "max_iterations": 0}, drafts_of, samples=True),
    "off": AnswerWay({"feedback_by": "off", "max_iterations": 1}, last_of("off", greedy=True)),
    "votes": AnswerWay({"feedback_votes": 3, "max_iterations": 1}, last_of("votes 3", greedy=True)),
    **{
        f"candidates-{number}": AnswerWay(
            {"drafts": number, "combine": "candidates", "max_iterations": 1},
            last_of(f"candidates {number}", greedy=False),
            samples=True,
        )
        for number in (2, 4)
    },
    DIRECT: AnswerWay({"max_iterations": 0}, lambda reply: {DIRECT: after(reply, 0)}),
}


def chosen(names: Sequence[str]) -> dict[str, AnswerWay]:
    """The ways by these names. The direct answer, which all are compared with, is the draft of any
    greedy way; it is asked for where there is none."""
    ways = {name: WAYS[name] for name in names if name != DIRECT}
    if all(way.samples for way in ways.values()):
        return {DIRECT: WAYS[DIRECT], **ways}
    return ways
