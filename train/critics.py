"""Critics: they write feedback and a refinement for a draft, and score a response on its own.

How to add a critic: write a class with the members of ``LessonCritic`` below; name it in
``critic_of``; add it to the table in tests/train/test_critics.py.
"""

from __future__ import annotations

import asyncio
import itertools
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from redraft.server.engine.base import Chat, Message, Sampling, Tokens
from redraft.server.refine.asking import instruction_text
from redraft.server.refine.requests import FEEDBACK_REQUEST, REFINEMENT_HEADING, asking_for_feedback
from redraft.server.refine.srt_format import (
    FormatError,
    SrtFormat,
    parse_feedback,
    parse_score,
    render_feedback,
)
from redraft.server.refine.trace import Instruction
from redraft.train.data.records import Example
from redraft.train.engines import spec
from redraft.train.paid_engine import PaidEngine, PaidEngines, Refused
from redraft.train.workbench import critic as exact
from redraft.train.workbench.judge import judge
from redraft.train.workbench.tasks import UnknownInstruction, task_for

# Table 1 of the paper asks for feedback and refinement in one completion. The wording is that
# of the server's prompted style, with the fourth step added.
_STEPS, _END = FEEDBACK_REQUEST.rsplit("\n\n### Feedback", 1)
TABLE_1 = (
    _STEPS
    + '\n4. Improved Response: after the score, under the heading "'
    + REFINEMENT_HEADING
    + '", write an improved response to the original instruction that follows your suggestions.'
    + "\n\n### Feedback"
    + _END
)
_HEADING = re.compile(
    r"^[^\S\n]*+#*+[^\S\n]*+\**+improved response\**+[^\S\n]*+:?[^\S\n]*+\**+[^\S\n]*+$",
    re.I | re.M,
)
MAX_TOKENS = 2048  # of every completion, section 4.1
_GREEDY = Sampling(temperature=0.0, max_tokens=MAX_TOKENS)


EDITED = "edited"  # how a refinement came about that no model was asked for


@dataclass(frozen=True, slots=True)
class Taught:
    """What a critic wrote about one draft. Nothing in it has been checked yet."""

    feedback: str
    refinement: str
    cut: bool = False  # the completion ended at its token limit
    way: str = ""  # how an exact critic came to the refinement, or why to none
    partly: str = ""  # the draft with some of its faults mended; empty: there are none, or one


class Scorer(Protocol):
    async def score(self, example: Example, response: str) -> int | None:
        """In a context that holds nothing but the instruction and the response: a critic that
        sees its feedback favours whatever followed from it (section 4.1)."""
        ...


class LessonCritic(Scorer, Protocol):
    name: str

    async def teach(self, example: Example, draft: str) -> Taught: ...


class ExactCritic:
    """The workbench's critic, which knows the right answer. It costs nothing and is not asked
    through the ledger."""

    name = "exact"

    async def teach(self, example: Example, draft: str) -> Taught:
        try:
            task = task_for(example.messages[-1].content)
        except UnknownInstruction as error:
            raise Refused(str(error)) from error
        return Taught(exact.feedback(task, draft), exact.refinement(task, draft))

    async def score(self, example: Example, response: str) -> int | None:
        try:
            return judge(task_for(example.messages[-1].content), response).score
        except UnknownInstruction:
            return None


class PromptedCritic:
    """Any instruct model, asked with the paper's Table 1 request."""

    def __init__(self, paid: PaidEngine) -> None:
        self.name = paid.engine.model
        self._paid = paid

    async def teach(self, example: Example, draft: str) -> Taught:
        entry = await self._paid.ask("teach", _request(TABLE_1, example, draft), _GREEDY)
        feedback, refinement = split(entry.text)
        return Taught(feedback, refinement, entry.finish_reason == "length")

    async def score(self, example: Example, response: str) -> int | None:
        prompt = _request(FEEDBACK_REQUEST, example, response)
        entry = await self._paid.ask("score", prompt, _GREEDY)
        return readable_score(entry.text)


class SrtCritic:
    """A tuned model as its own critic, by continuing the token sequence it was trained on."""

    def __init__(self, paid: PaidEngine, srt_format: SrtFormat) -> None:
        self.name = paid.engine.model
        self._paid, self._format = paid, srt_format
        self._sampling = phase_sampling(srt_format, MAX_TOKENS)

    async def teach(self, example: Example, draft: str) -> Taught:
        chat, written = await self._ids(example, draft)
        prompt = self._format.feedback_prompt(chat, written)
        feedback = await self._paid.ask("feedback", Tokens(prompt), self._sampling)
        prompt = self._format.refinement_prompt(chat, written, feedback.token_ids)
        refinement = await self._paid.ask("refinement", Tokens(prompt), self._sampling)
        cut = "length" in (feedback.finish_reason, refinement.finish_reason)
        return Taught(feedback.text, refinement.text, cut)

    async def score(self, example: Example, response: str) -> int | None:
        chat, written = await self._ids(example, response)
        prompt = Tokens(self._format.feedback_prompt(chat, written))
        entry = await self._paid.ask("feedback", prompt, self._sampling)
        return readable_score(entry.text)

    async def _ids(
        self, example: Example, response: str
    ) -> tuple[tuple[int, ...], tuple[int, ...]]:
        engine = self._paid.engine
        return await engine.encode_chat(example.messages), await engine.encode(response)


async def critic_of(named: Mapping[str, Any], engines: PaidEngines) -> LessonCritic:
    """The critic of an option: 'exact', or an engine."""
    if named.get("model") == "exact":
        return ExactCritic()
    return PromptedCritic(await engines.get(spec(named, "critic")))


async def independent(
    critic: Scorer, example: Example, responses: Sequence[str]
) -> list[int | None]:
    """The critic's score of each, given without sight of the others or of any feedback. The same
    text gets the same score, without a second call."""
    texts: dict[str, str] = {}
    for response in responses:
        texts.setdefault(response.strip(), response)
    scores = await asyncio.gather(*(critic.score(example, text) for text in texts.values()))
    score_of = dict(zip(texts, scores, strict=True))
    return [score_of[response.strip()] for response in responses]


def weighted_kappa(first: Sequence[int], second: Sequence[int]) -> float | None:
    """Agreement of two critics beyond chance, quadratic weights: 1 is perfect, 0 is chance.

    None when chance alone explains everything: a critic that gives one score to all."""
    counts = itertools.product(Counter(first).items(), Counter(second).items())
    by_chance = sum((a - b) ** 2 * num_a * num_b for (a, num_a), (b, num_b) in counts)
    if not by_chance:
        return None
    observed = sum((a - b) ** 2 for a, b in zip(first, second, strict=True)) * len(first)
    return 1 - observed / by_chance


def split(text: str) -> tuple[str, str]:
    """Feedback and refinement of one completion; a missing part is empty. Feedback that can be
    read is put into the words of the SRT format, whatever headings the critic chose."""
    heading = _HEADING.search(text)
    feedback = text[: heading.start()] if heading else text
    refinement = text[heading.end() :].strip() if heading else ""
    return normal(feedback.strip()), refinement


def normal(feedback: str) -> str:
    try:
        parts = parse_feedback(feedback)
    except FormatError:
        return feedback
    if not parts.complete:
        return feedback
    return render_feedback(parts.weaknesses, parts.suggestions, parts.score)


def readable_score(text: str) -> int | None:
    try:
        return parse_score(text)
    except FormatError:
        return None


def phase_sampling(srt_format: SrtFormat, max_tokens: int) -> Sampling:
    """Greedy, up to where a phase of the format ends."""
    return Sampling(
        temperature=0.0,
        max_tokens=max_tokens,
        stop=srt_format.stop_strings(),
        stop_token_ids=srt_format.stop_token_ids(),
    )


def _request(template: str, example: Example, response: str) -> Chat:
    instruction = instruction_text(Instruction(example.messages))
    return Chat((Message("user", asking_for_feedback(template, instruction, response)),))
