"""Every way's answers to the same prompts, asked or recorded before."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from redraft.benchmarks.following.asking import RefineSettings, Replies, asked, keys_of
from redraft.benchmarks.following.begun import Begun, Reply
from redraft.benchmarks.following.several_ways import DIRECT, WAYS, Answers, AnswerWay
from redraft.benchmarks.grading.constrained import ConstrainedPrompt
from redraft.benchmarks.load.endpoint import Endpoint
from redraft.benchmarks.output.journal import Journal
from redraft.server import jsonl


@dataclass(frozen=True, slots=True)
class Gathering:
    """How ways are asked, and where their replies are kept."""

    endpoint: Endpoint
    path: Path
    concurrency: int
    max_tokens: int | None
    temperature: float  # of drafts that are sampled
    seed: int
    deployment: str = ""
    asks: bool = True  # False: only what is recorded
    begun: Mapping[str, Reply] = field(default_factory=dict)  # loops to take up, by prompt

    def settings(self, way: AnswerWay) -> RefineSettings:
        temperature = self.temperature if way.samples else 0.0
        return RefineSettings(
            False, way.checks, self.max_tokens, temperature, self.seed, way.refine
        )

    def answers(
        self, prompts: Sequence[ConstrainedPrompt], ways: Mapping[str, AnswerWay]
    ) -> tuple[dict[str, Answers], dict[str, int], Counter[str]]:
        """The answers by prompt, of the prompts that every way has answered; how many each has;
        and the failures by reason."""
        failures: Counter[str] = Counter()
        of_ways: dict[str, dict[str, Answers]] = {}
        for name, way in ways.items():
            replies, failed = self._replies(prompts, way)
            failures += failed
            of_ways[name] = {text: way.answers(reply) for text, reply in replies.items()}
            if not replies:
                print(f"{name} is left out, nothing was answered: {dict(failed)}", file=sys.stderr)
        answered = [of_way for of_way in of_ways.values() if of_way]
        together = {
            prompt.text: _in_order([of_way[prompt.text] for of_way in answered])
            for prompt in prompts
            if answered and all(prompt.text in of_way for of_way in answered)
        }
        with_direct = {text: each for text, each in together.items() if DIRECT in each}
        return with_direct, {name: len(of_way) for name, of_way in of_ways.items()}, failures

    def _replies(
        self, prompts: Sequence[ConstrainedPrompt], way: AnswerWay
    ) -> tuple[Replies, Counter[str]]:
        settings = self.settings(way)
        if self.asks:
            begun = {text: Begun(reply, way.refine) for text, reply in self.begun.items()}
            return asked(
                prompts,
                settings,
                self.endpoint,
                self.path,
                self.concurrency,
                self.deployment,
                {} if way.samples or way is WAYS[DIRECT] else begun,
            )
        keys = set(self._keys(prompts, way))
        records = jsonl.read(self.path, torn_end=True) if self.path.exists() else ()
        kept = {each["prompt"]: each["reply"] for each in records if each.get("key") in keys}
        return kept, Counter()

    def adopt(
        self,
        others: Sequence[Path],
        prompts: Sequence[ConstrainedPrompt],
        ways: Sequence[AnswerWay],
    ) -> int:
        """Copy the replies of other runs that answer these requests. Returns their number."""
        wanted = {key for way in ways for key in self._keys(prompts, way)}
        with Journal(self.path) as journal:
            before = len(journal.records)
            for other in others:
                for record in jsonl.read(other, torn_end=True):
                    key = record.get("key")
                    if key in wanted and key not in journal.records:
                        journal.add(key, {"prompt": record["prompt"], "reply": record["reply"]})
            return len(journal.records) - before

    def _keys(self, prompts: Sequence[ConstrainedPrompt], way: AnswerWay) -> list[str]:
        model = self.endpoint.model
        return list(keys_of(prompts, self.settings(way), model, self.deployment).values())


def _in_order(of_ways: Sequence[Answers]) -> Answers:
    """The direct answer first, then way by way. All greedy ways have it; the first of them gives
    it."""
    merged: Answers = {}
    for of_way in of_ways:
        merged = {**of_way, **merged}
    names = [DIRECT, *(name for of_way in of_ways for name in of_way)]
    return {name: merged[name] for name in dict.fromkeys(names) if name in merged}
