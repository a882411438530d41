"""Ways of answering: a name and refine options, or a number of drafts to vote among.

    ways = {"direct": DIRECT, "vote-8": {"vote": 8}}
    replies, failures = await ask_all(prompts, ways, settings, Path("runs/compute/answers.jsonl"))

Every prompt is asked in every way. Replies are kept in a journal, so that no reply is paid for
twice.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from redraft.benchmarks.load.endpoint import CallFailed, Endpoint, Session
from redraft.benchmarks.load.recorded import key_of, record_all
from redraft.benchmarks.output.journal import Record
from redraft.server.refine.final_answer import commonest

Way = Mapping[str, Any]  # refine options, or {"vote": n}
NO_GATE = {"good_enough": None}  # said outright: the model's manifest must not add one

DIRECT: Way = {"max_iterations": 0}


def refining(iterations: int, **more: Any) -> Way:
    return {"max_iterations": iterations, "keep": "last", **NO_GATE, **more}


def reranking(drafts: int, **more: Any) -> Way:
    """The best of several drafts by the model's own score."""
    return {"drafts": drafts, "max_iterations": 0, "keep": "best", **NO_GATE, **more}


def voting(drafts: int) -> Way:
    return {"vote": drafts}


# What a model does is an outcome and is scored: feedback that cannot be read, and a text that
# leaves no room in the window, too. Its user gets the best response so far. Where a loop ended for
# another reason there is no outcome.
ENDS = ("max_iterations", "good_enough", "checks_passed", "no_change", "no_gain")
OUTCOMES = (*ENDS, "malformed_feedback", "token_budget")


@dataclass(frozen=True, slots=True)
class AskSettings:
    """The endpoint and sampling that all ways share."""

    endpoint: Endpoint
    temperature: float | None = 0.7  # of drafts; None: the model's own
    seed: int = 0
    concurrency: int = 8
    deployment: str = ""  # what is asked, where the model's name does not say it all
    max_tokens: int | None = None  # of a response; None: the server's own


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer of one way to one prompt, and its cost."""

    answer: str
    tokens: int  # generated, all phases and drafts
    prompt_tokens: int
    seconds: float
    stop_reason: str
    responses: tuple[str, ...]  # the draft and its refinements
    response_tokens: tuple[int, ...]
    scores: tuple[int | None, ...]  # of each feedback, in order
    feedback_tokens: int  # of all feedback

    @classmethod
    def of(cls, record: Record) -> Self:
        fields: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in record.items()
            if name != "key"
        }
        return cls(**fields)


Replies = dict[str, dict[int, Reply]]  # way -> place of the prompt -> reply


async def ask_all(
    prompts: Sequence[str], ways: Mapping[str, Way], settings: AskSettings, journal_path: Path
) -> tuple[Replies, Counter[str]]:
    """Two ways that are the same by different names are asked once."""
    keys: dict[tuple[str, int], str] = {}
    for place, prompt in enumerate(prompts):
        for name, way in ways.items():
            parts: list[Any] = [settings.endpoint.model, settings.deployment, way, prompt]
            parts += [settings.temperature, settings.seed]
            parts += [] if settings.max_tokens is None else [settings.max_tokens]
            keys[name, place] = key_of(json.dumps(parts, sort_keys=True))

    async def ask(session: Session, which: tuple[str, int]) -> Record:
        name, place = which
        body = {
            "model": settings.endpoint.model,
            "prompt": prompts[place],
            "temperature": settings.temperature,
            "seed": seed_of(prompts[place], settings.seed),
        }
        if settings.max_tokens is not None:
            body["max_tokens"] = settings.max_tokens
        return await answer(session, ways[name], body)

    items = {key: which for which, key in keys.items()}
    records, failures = await record_all(
        items, ask, settings.endpoint, journal_path, settings.concurrency, "answers"
    )
    replies: Replies = {name: {} for name in ways}
    for (name, place), key in keys.items():
        if key in records:
            replies[name][place] = Reply.of(records[key])
    return replies, failures


def seed_of(prompt: str, seed: int) -> int:
    """A seed for each prompt that is the same for all ways, which makes pairs comparable."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{prompt}".encode()).digest()[:4]) & 0x7FFFFFFF


async def answer(session: Session, way: Way, body: dict[str, Any]) -> Record:
    """One answer and its cost. A vote takes a draft with the most common final answer, the first
    among equals."""
    if "vote" not in way:
        return await _refined(session, {**body, **way})
    drafts = [
        await _refined(session, {**body, **DIRECT, "seed": body["seed"] + 7919 * number})
        for number in range(way["vote"])
    ]
    chosen = drafts[commonest([draft["answer"] for draft in drafts], [None] * len(drafts))]
    costs = ("tokens", "prompt_tokens", "seconds")
    return chosen | {cost: sum(draft[cost] for draft in drafts) for cost in costs}


async def _refined(session: Session, body: dict[str, Any]) -> Record:
    started = time.perf_counter()
    reply = await session.post("refine", {**body, "trace": True})
    seconds = time.perf_counter() - started
    require_outcome(reply)
    used, trace = reply["usage"], reply["trace"]
    responses = list(_responses(trace))
    return {
        "answer": reply["answer"],
        "tokens": used["completion_tokens"],
        "prompt_tokens": used["prompt_tokens"],
        "seconds": round(seconds, 4),
        "stop_reason": reply["stop_reason"],
        "responses": [response["text"] for response in responses],
        "response_tokens": [response["tokens"] for response in responses],
        "scores": [iteration["feedback"]["score"] for iteration in trace["iterations"]],
        "feedback_tokens": used["phases"].get("feedback", {}).get("completion_tokens", 0),
    }


def require_outcome(reply: Record) -> None:
    """CallFailed where a loop ended for a reason that says nothing about the model."""
    if reply["stop_reason"] not in OUTCOMES:
        raise CallFailed(f"stopped_by_{reply['stop_reason']}", reply["id"])


def _responses(trace: Record) -> Iterable[Record]:
    yield trace["drafts"][trace["picked"]]
    yield from (i["refinement"] for i in trace["iterations"] if i["refinement"])
