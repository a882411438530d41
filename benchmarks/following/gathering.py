"""Every way's answers to the same prompts, asked or recorded before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from redraft.benchmarks.following.asking import RefineSettings, Replies, asked, keys_of
from redraft.benchmarks.following.several_ways import DIRECT, Answers, AnswerWay
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
        together: dict[str, Answers] = {}
        for prompt in prompts:
            if all(prompt.text in of_way for of_way in of_ways.values()):
                # All greedy ways have the direct answer; the first of them gives it.
                in_turn = [of_ways[name][prompt.text] for name in reversed(list(ways))]
                merged = {name: each for answers in in_turn for name, each in answers.items()}
                together[prompt.text] = {name: merged[name] for name in _order(of_ways, prompt)}
        return together, {name: len(of_way) for name, of_way in of_ways.items()}, failures

    def _replies(
        self, prompts: Sequence[ConstrainedPrompt], way: AnswerWay
    ) -> tuple[Replies, Counter[str]]:
        settings = self.settings(way)
        if self.asks:
            return asked(
                prompts, settings, self.endpoint, self.path, self.concurrency, self.deployment
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


def _order(of_ways: Mapping[str, Mapping[str, Answers]], prompt: ConstrainedPrompt) -> list[str]:
    """The direct answer first, then way by way."""
    names = [name for of_way in of_ways.values() for name in of_way[prompt.text]]
    return list(dict.fromkeys([DIRECT, *names]))
