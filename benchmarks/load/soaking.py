"""A constant load of mixed requests on one server, with clients that leave and engines that are
killed, and what became of each request.

First each known question is asked alone, then the load runs undisturbed for a while: what a model
answers then, by itself or in company, is right for it. An answer it never gave then is wrong. A
request that is told to come again (503, or an error event in its stream) is asked again; one that
ends in any other way without an answer is lost.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import count, cycle
from typing import Any

from redraft.benchmarks.load.endpoint import CallFailed, Endpoint, Session
from redraft.benchmarks.load.usage import Footprint, Running
from redraft.benchmarks.load.workload import prompts

LEAVES = "client leaves"
KINDS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("direct", {"model": ":direct"}),
    ("refined", {"model": ":refine-1"}),
    ("direct, streamed", {"model": ":direct", "stream": True}),
    ("refined, streamed", {"model": ":refine-1", "stream": True}),
    (LEAVES, {"model": ":refine-1", "stream": True}),
)
# Of common words: up to five times as many in a small vocabulary.
PROMPT_TOKENS = (20, 200, 60, 300)
AGAIN = ("http_503", "stream_error")
LONGEST_S = 300.0  # of one request, with all its tries
PAUSE_S = 0.5  # before the next try


@dataclass(frozen=True, slots=True)
class SoakLoad:
    """What is asked, and for how long."""

    model: str  # as the server calls it
    questions: Sequence[str]  # whose answers are compared
    seconds: float
    calm_s: float  # of these, undisturbed
    kills_until_s: float
    kills: int
    concurrency: int
    max_tokens: int
    every_s: float  # between two looks at the processes


@dataclass
class Soaked:
    """What became of the requests, and the looks at the processes."""

    answered: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    again: Counter[str] = field(default_factory=Counter)
    compared: int = 0  # answers, after the calm
    cut_short: int = 0  # of them, by an engine's death: the draft, or as much as was streamed
    differed: int = 0  # answers in the calm that differ from the one at rest
    wrong: list[dict[str, str]] = field(default_factory=list)
    killed_at: list[float] = field(default_factory=list)
    back_at: list[float] = field(default_factory=list)
    looks: dict[str, list[tuple[float, Footprint]]] = field(
        default_factory=lambda: defaultdict(list)
    )


async def soak(load: SoakLoad, server: Running) -> Soaked:
    async with Endpoint(server.url, load.model).session() as session:
        soaking = _Soaking(load, server, session)
        await soaking.rest()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(soaking.watch())
            tasks.create_task(soaking.kill())
            for _ in range(load.concurrency):
                tasks.create_task(soaking.call())
        return soaking.soaked


class _Soaking:
    def __init__(self, load: SoakLoad, server: Running, session: Session) -> None:
        self.soaked = Soaked()
        self._load, self._server, self._session = load, server, session
        self._right: dict[tuple[str, str], set[str]] = defaultdict(set)
        self._kinds, self._start = cycle(KINDS), time.monotonic()
        self._numbers = count()

    @property
    def _now(self) -> float:
        return time.monotonic() - self._start

    async def rest(self) -> None:
        for question in self._load.questions:
            for _, fields in KINDS[:2]:
                answer = await self._ask(question, fields, leaves=False)
                self._right[question, fields["model"]].add(answer.text)
        self._start = time.monotonic()

    async def call(self) -> None:
        questions = cycle(self._load.questions)
        while self._now < self._load.seconds:
            kind, fields = next(self._kinds)
            number = next(self._numbers)
            known = bool(self._load.questions) and number % 2 == 0
            tokens = PROMPT_TOKENS[number % len(PROMPT_TOKENS)]
            question = next(questions) if known else next(prompts(tokens, number))
            answer = await self._tried(kind, question, fields)
            if answer is not None:
                self.soaked.answered[kind] += 1
                if known and kind != LEAVES:
                    self._compare(kind, question, fields["model"], answer)

    async def _tried(self, kind: str, question: str, fields: dict[str, Any]) -> _Answer | None:
        """The answer, after as many tries as the server asks for; None: it is lost."""
        begun = self._now
        while True:
            try:
                return await self._ask(question, fields, leaves=kind == LEAVES)
            except CallFailed as failed:
                if failed.reason not in AGAIN or self._now - begun > LONGEST_S:
                    self.soaked.lost[f"{kind}: {failed.reason}"] += 1
                    return None
                self.soaked.again[failed.reason] += 1
                await asyncio.sleep(PAUSE_S)

    async def _ask(self, question: str, fields: dict[str, Any], leaves: bool) -> _Answer:
        body = {
            **fields,
            "model": self._load.model + fields["model"],
            "messages": [{"role": "user", "content": question}],
            "max_tokens": self._load.max_tokens,
            "temperature": 0,
        }
        if not body.get("stream"):
            reply = await self._session.post("chat/completions", body)
            return _Answer(reply["choices"][0]["message"]["content"] or "", _ended(reply))
        text, stop_reason, finish_reason = "", None, None
        events = 0
        async with aclosing(self._session.stream("chat/completions", body)) as stream:
            async for _, event in stream:
                for choice in event["choices"]:
                    text += choice["delta"].get("content") or ""
                    finish_reason = choice.get("finish_reason") or finish_reason
                stop_reason = _ended(event) or stop_reason
                events += 1
                if leaves and events == 3:
                    break
        return _Answer(text, stop_reason, said_cut=text != "" and finish_reason == "length")

    def _compare(self, kind: str, question: str, model: str, answer: _Answer) -> None:
        right = self._right[question, model]
        if answer.stop_reason == "engine_failure":
            self.soaked.cut_short += 1
            if answer.said_cut:  # what has been streamed cannot be undone
                right = right | {answer.text for whole in right if whole.startswith(answer.text)}
            right = right | self._right[question, ":direct"]
        if self._now <= self._load.calm_s:
            self.soaked.differed += answer.text not in right
            right.add(answer.text)
            return
        self.soaked.compared += 1
        if answer.text not in right:
            told = {"kind": kind, "question": question, "answer": answer.text}
            self.soaked.wrong.append({**told, "stop_reason": answer.stop_reason or ""})

    async def watch(self) -> None:
        while self._now < self._load.seconds:
            for name, footprint in self._server.footprints().items():
                self.soaked.looks[name].append((self._now, footprint))
            await asyncio.sleep(self._load.every_s)

    async def kill(self) -> None:
        """kill -9 of the engine's process, at equal distances; the next one only when it is back,
        as another process."""
        load = self._load
        for number in range(load.kills):
            at = load.calm_s + (load.kills_until_s - load.calm_s) * number / load.kills
            await asyncio.sleep(max(0.0, at - self._now))
            old = self._server.engine()
            if old is None:
                raise RuntimeError("the server has no engine process that could be killed")
            os.kill(old, signal.SIGKILL)
            self.soaked.killed_at.append(self._now)
            await self._until_answered()
            self.soaked.back_at.append(self._now)

    async def _until_answered(self) -> None:
        begun = self._now
        while self._now - begun < LONGEST_S:
            try:
                await self._ask("Hello", {"model": ":direct"}, leaves=False)
                return
            except CallFailed:
                await asyncio.sleep(PAUSE_S)


@dataclass(frozen=True, slots=True)
class _Answer:
    text: str
    stop_reason: str | None
    said_cut: bool = False  # its stream ended early, and said so


def _ended(reply: dict[str, Any]) -> str | None:
    """Why the loop ended; None in direct mode and before the end."""
    refine = reply.get("refine") or {}
    reason: str | None = refine.get("stop_reason")
    return reason
