"""Asks every prompt once, keeps each reply, and reads replies that were kept before.

A record is {"key": "...", "prompt": "...", "reply": {...}}. The reply is that of /v1/refine, with
its trace, or a chat completion where the server is asked directly.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from redraft.benchmarks.following.begun import Begun
from redraft.benchmarks.following.courses import PromptCourse
from redraft.benchmarks.grading.constrained import ConstrainedPrompt
from redraft.benchmarks.grading.ways import require_outcome, seed_of
from redraft.benchmarks.load.endpoint import Endpoint, Session
from redraft.benchmarks.load.recorded import key_of, record_all
from redraft.benchmarks.output.journal import Record
from redraft.server import jsonl

GivenChecks = Literal["none", "given", "auto"]
Courses = list[tuple[ConstrainedPrompt, PromptCourse]]


@dataclass(frozen=True, slots=True)
class RefineSettings:
    """How prompts are asked."""

    direct: bool  # a chat completion, of any server
    checks: GivenChecks
    max_tokens: int | None  # none: the server's own
    temperature: float
    seed: int
    refine: Mapping[str, Any]  # further options of /v1/refine

    def body(self, prompt: ConstrainedPrompt, model: str) -> dict[str, Any]:
        body: dict[str, Any] = {"temperature": self.temperature}
        body |= {} if self.max_tokens is None else {"max_tokens": self.max_tokens}
        body |= {"model": model} if model else {}
        # Votes are sampled whatever the temperature of drafts.
        samples = self.temperature or "feedback_votes" in self.refine
        body |= {"seed": seed_of(prompt.text, self.seed)} if samples else {}
        if self.direct:
            return body | {"messages": [{"role": "user", "content": prompt.text}]}
        body |= {"prompt": prompt.text, **self.refine}
        if self.checks == "given":
            body["checks"] = [check.to_json() for check in prompt.all_checks]
        elif self.checks == "auto":
            body["checks"] = "auto"
        return body


Replies = dict[str, Mapping[str, Any]]  # by the text of the prompt


def ask(
    prompts: Sequence[ConstrainedPrompt],
    settings: RefineSettings,
    endpoint: Endpoint,
    path: Path,
    concurrency: int,
) -> tuple[Courses, Counter[str]]:
    """What became of each prompt that was answered, and the failures by reason."""
    replies, failures = asked(prompts, settings, endpoint, path, concurrency)
    return _courses(prompts, replies), failures


def keys_of(
    prompts: Sequence[ConstrainedPrompt],
    settings: RefineSettings,
    model: str,
    deployment: str = "",
) -> dict[str, str]:
    """The key of the record of each prompt, by its text. ``deployment``: what is asked, where the
    model's name does not say it all."""
    return {
        prompt.text: key_of(json.dumps(settings.body(prompt, model), sort_keys=True) + deployment)
        for prompt in prompts
    }


def asked(
    prompts: Sequence[ConstrainedPrompt],
    settings: RefineSettings,
    endpoint: Endpoint,
    path: Path,
    concurrency: int,
    deployment: str = "",
    begun: Mapping[str, Begun] = MappingProxyType({}),
) -> tuple[Replies, Counter[str]]:
    """The reply to each prompt that was answered, and the failures by reason. ``begun``: loops to
    take up, by prompt."""
    bodies = {prompt.text: settings.body(prompt, endpoint.model) for prompt in prompts}
    keys = keys_of(prompts, settings, endpoint.model, deployment)

    async def reply(session: Session, text: str) -> Record:
        if settings.direct:
            return {"prompt": text, "reply": await session.post("chat/completions", bodies[text])}
        loop = begun.get(text)
        if loop and loop.ended:
            return {"prompt": text, "reply": loop.whole}
        loop = None if loop and loop.empty else loop
        body = loop.body(bodies[text]) if loop else bodies[text]
        refined = await session.post("refine", body)
        require_outcome(refined)
        return {"prompt": text, "reply": loop.joined(refined) if loop else refined}

    items = {key: text for text, key in keys.items()}
    records, failures = asyncio.run(
        record_all(items, reply, endpoint, path, concurrency, "prompts")
    )
    return _replies(records.values()), failures


def recorded(prompts: Sequence[ConstrainedPrompt], path: Path) -> Courses:
    """From the records of a run; FileError where they are not of one run."""
    courses = _courses(prompts, replies_in(path))
    if not courses:
        raise jsonl.FileError(f"{path} has a reply to none of the {len(prompts)} prompts")
    return courses


def replies_in(path: Path) -> Replies:
    """The replies of one run, by prompt; FileError where they are not of one run."""
    records = list(jsonl.read(path, torn_end=True))
    if not all(record.keys() >= {"prompt", "reply"} for record in records):
        raise jsonl.FileError(f"{path} needs lines with a prompt and the reply to it")
    asked = Counter(record["prompt"] for record in records)
    if asked and max(asked.values()) > 1:
        raise jsonl.FileError(
            f"{path} has replies of several runs to the same prompt; give the options of one of "
            "them in place of --recorded"
        )
    return _replies(records)


def _replies(records: Iterable[Record]) -> Replies:
    return {record["prompt"]: record["reply"] for record in records}


def _courses(prompts: Sequence[ConstrainedPrompt], replies: Replies) -> Courses:
    return [(prompt, _course(replies[prompt.text])) for prompt in prompts if prompt.text in replies]


def _course(reply: Mapping[str, Any]) -> PromptCourse:
    try:
        return PromptCourse.direct(reply) if "choices" in reply else PromptCourse.of(reply)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise jsonl.FileError(
            f"a reply is neither of /v1/refine with its trace nor a chat completion ({error!r})"
        ) from error
