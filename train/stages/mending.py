"""How far a tuned model mends its own drafts: on instructions with checks, counted by kind.

    redraft train mending --data ifeval.jsonl --model DIR/stage1 --output DIR/mending

The base drafts, the tuned model gives feedback and refines, and the checks say what holds before
and after. A response that the feedback calls right is left alone. Writes DIR/mending.json and
every response in DIR/mending.jsonl.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from redraft.server import jsonl
from redraft.server.engine.base import Call, Completion, Engine, Sampling, Tokens, complete
from redraft.server.options import ConfigError, option
from redraft.server.refine.checks import verify_all
from redraft.server.refine.srt_format import HIGHEST_SCORE, SrtFormat
from redraft.train.checkpoints import adapter_base
from redraft.train.checks_critic import checks_of
from redraft.train.critics import readable_score
from redraft.train.data import instructions, tokens
from redraft.train.data.records import Example
from redraft.train.mending_figures import Judged, MendingStep, figures
from redraft.train.paid_engine import Refused
from redraft.train.program import read

if TYPE_CHECKING:
    from redraft.train.surprise import Surprise  # needs torch


@dataclass(frozen=True, slots=True)
class MendingOptions:
    """Drafts, feedback and refinements of a tuned model, judged by checks."""

    data: tuple[str, ...] = option("instructions with meta.checks (constraints)")
    model: str = option("folder of the tuned model, whole or an adapter")
    output: str = option("folder for mending.json and mending.jsonl")
    drafter: str | None = option("who drafts; none: the adapter's base, else the model", None)
    iterations: int = option("of feedback and refinement", 2)
    max_tokens: int = option("of a draft", 400)
    feedback_tokens: int = option("of a feedback", 260)
    refinement_tokens: int = option("of a refinement", 640)
    limit: int | None = option("how many instructions", None)
    batch: int = option("most completions generated at once", 64)
    perplexity: bool = option("measure the refinements' perplexity under the drafter, too", True)


@dataclass(slots=True)
class Mender:
    """One run: a drafting engine and a tuned one, and the format they share."""

    drafter: Engine
    tuned: Engine
    srt_format: SrtFormat
    options: MendingOptions

    async def drafted(self, example: Example) -> Judged:
        chat = await self.drafter.encode_chat(example.messages)
        draft = await self._ask(self.drafter, chat, self.options.max_tokens, ())
        return Judged(example, self._held(example, draft.text), draft.text, draft.token_ids)

    async def refined(self, judged: Judged) -> None:
        """One more feedback and refinement of the newest response."""
        chat = await self.drafter.encode_chat(judged.example.messages)
        response, ids = judged.newest
        judged.steps.append(await self._step(judged.example, chat, response, ids))

    async def _step(
        self, example: Example, chat: tuple[int, ...], response: str, ids: tuple[int, ...]
    ) -> MendingStep:
        stops = self.srt_format.stop_strings()
        prompt = self.srt_format.feedback_prompt(chat, ids)
        feedback = await self._ask(self.tuned, prompt, self.options.feedback_tokens, stops)
        score = readable_score(feedback.text)
        if score is None or score == HIGHEST_SCORE:
            return MendingStep(feedback.text, score, response, ids, self._held(example, response))
        prompt = self.srt_format.refinement_prompt(chat, ids, feedback.token_ids)
        refined = await self._ask(self.tuned, prompt, self.options.refinement_tokens, stops)
        if text := refined.text.strip():
            response, ids = text, refined.token_ids
        return MendingStep(feedback.text, score, response, ids, self._held(example, response))

    def _held(self, example: Example, response: str) -> tuple[bool, ...]:
        checks, instruction = checks_of(example), example.messages[-1].content
        return tuple(finding.passed for finding in verify_all(checks, response, instruction))

    async def _ask(
        self, engine: Engine, prompt: tuple[int, ...], max_tokens: int, stops: tuple[str, ...]
    ) -> Completion:
        sampling = Sampling(
            temperature=0.0,
            max_tokens=max_tokens,
            stop=stops,
            stop_token_ids=self.srt_format.stop_token_ids(),
        )
        return await complete(engine, Tokens(prompt), sampling, Call("mending"))


async def measure(
    options: MendingOptions, examples: Sequence[Example]
) -> Mapping[str, dict[str, Any]]:
    """The figures of each file of the data."""
    from redraft.train.transformers_engine import TransformersEngine

    base = options.drafter or adapter_base(options.model) or options.model
    tuned = TransformersEngine.load(Path(options.model), None, options.batch)
    drafter = TransformersEngine.load(Path(base), None, options.batch)
    srt_format = tokens.load(base).srt_format()
    mender = Mender(drafter, tuned, srt_format, options)
    started = time.monotonic()
    judged = await asyncio.gather(*map(mender.drafted, examples))
    by_file: dict[str, dict[str, Any]] = {}
    output = Path(options.output)
    for _ in range(options.iterations):
        await asyncio.gather(*map(mender.refined, judged))
        # After each: a run that is cut short has the iterations before.
        by_file = {name: figures(group) for name, group in _by_file(judged).items()}
        jsonl.write(output / "mending.jsonl", (each.to_json() for each in judged))
        jsonl.write_json(output / "mending.json", by_file)
    print(f"mending: {len(judged)} instructions in {time.monotonic() - started:.0f} s")
    if options.perplexity:
        from redraft.train.surprise import Surprise

        surprise = Surprise(drafter.loaded)
        for name, group in _by_file(judged).items():
            by_file[name]["perplexity_ratio"] = await _perplexity(surprise, drafter, group)
        jsonl.write_json(output / "mending.json", by_file)
    return by_file


def _by_file(judged: Sequence[Judged]) -> dict[str, list[Judged]]:
    groups: dict[str, list[Judged]] = defaultdict(list)
    for each in judged:
        groups[Path(each.example.origin.rpartition(":")[0]).stem].append(each)
    return dict(groups)


async def _perplexity(
    surprise: Surprise, drafter: Engine, judged: Sequence[Judged]
) -> float | None:
    """The median, over the responses that were refined, of the refinement's perplexity to the
    draft's."""

    async def ratio(each: Judged) -> float:
        chat = await drafter.encode_chat(each.example.messages)
        before = await surprise.of(chat, each.draft_ids)
        return math.exp(await surprise.of(chat, each.steps[0].ids) - before)

    changed = [each for each in judged if each.steps and each.steps[0].response != each.draft]
    ratios = sorted(await asyncio.gather(*map(ratio, changed)))
    return round(ratios[len(ratios) // 2], 3) if ratios else None


def main(argv: Sequence[str]) -> int:
    options = read(MendingOptions, "mending", argv)
    source = instructions.read(options.data, limit=options.limit)
    print(source.summary())
    _require_checks(source.examples)
    by_file = asyncio.run(measure(options, source.examples))
    for name, figures_of_file in by_file.items():
        _say(name, figures_of_file)
    return 0


def _require_checks(examples: Sequence[Example]) -> None:
    """Before a model is loaded and drafts."""
    for example in examples:
        try:
            checks_of(example)
        except Refused as error:
            raise ConfigError(f"{example.origin}: {error}") from error


def _say(name: str, of_file: Mapping[str, Any]) -> None:
    for kind, counts in of_file["kinds"].items():
        print(f"mending: {kind}: {' -> '.join(map(str, counts['held']))} of {counts['of']}")
    for figure, value in of_file.items():
        if figure != "kinds":
            print(f"mending: {name}: {figure}: {value}")
