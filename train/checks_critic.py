"""The checks as critic: exact feedback, and a refinement that passes them all.

The refinement is the first that passes: a sample of the drafting model that was given the
feedback; the draft, edited by rules, with what must be added written by the drafting model.
Otherwise the lesson is rejected, with its reason.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from redraft.server.engine.base import Chat, Message, Prompt, Sampling, Tokens
from redraft.server.refine.checks import Check, CheckError, Finding, read_checks, verify_all
from redraft.server.refine.checks.scoring import all_hold
from redraft.server.refine.checks.splitting import split_sentences
from redraft.train.constraints.edits import ModelTexts, Needs, joint, mend, needs
from redraft.train.constraints.feedback import feedback, in_words, score
from redraft.train.critics import EDITED, Taught
from redraft.train.data.records import Example
from redraft.train.paid_engine import PaidEngine, Refused
from redraft.train.workbench.families.family import steady_random

if TYPE_CHECKING:
    from redraft.train.surprise import Surprise  # needs torch

# Kinds that ask for more or less text.
_LENGTHENS = frozenset(
    (
        "words",
        "sentences",
        "paragraphs",
        "characters",
        "two_responses",
        "repeats",
        "json",
        "contains",
        "contains_any",
        "occurrences",
        "excludes",
        "no_repetition",
        "bullets",
        "numbered",
    )
)
# Kinds that ask for a text that is unusual in itself.
_UNUSUAL = frozenset(("uppercase", "lowercase", "title_case", "json", "without", "letter"))
_REQUEST = (
    "{instruction}\n\nHere is an answer:\n{response}\n\nWhat is wrong with it:\n{feedback}\n\n"
    "Write the answer again so that nothing is wrong with it. Write nothing else."
)


@dataclass(frozen=True, slots=True)
class Guards:
    """How far a refinement may go from its draft."""

    most_perplexity: float = 2.5  # times the draft's, under the base model
    shortest: float = 0.6  # times the draft's length, where no length is asked for
    longest: float = 1.6


class ChecksScorer:
    """Scores by how many of the checks hold that an instruction's ``meta.checks`` say."""

    async def score(self, example: Example, response: str) -> int | None:
        checks = checks_of(example)
        return score(verify_all(checks, response, example.messages[-1].content))


@dataclass(slots=True)
class ChecksCritic(ChecksScorer):
    """Verifies what an instruction's ``meta.checks`` say; the writer is the model that drafts."""

    writer: PaidEngine
    samples: int = 0  # refinements sampled before the draft is edited
    surprise: Surprise | None = None  # without it, perplexity is not guarded
    quotes: bool = False  # feedback names each constraint as the instruction does
    guards: Guards = Guards()
    name: str = "checks"

    async def teach(self, example: Example, draft: str) -> Taught:
        checks, instruction = checks_of(example), example.messages[-1].content
        findings = verify_all(checks, draft, instruction)
        named = in_words(findings, _said(example, checks)) if self.quotes else findings
        feedback_text = feedback(named)
        if all(finding.passed for finding in findings):
            return Taught(feedback_text, draft.strip(), way="met" if checks else "nothing to check")
        for number in range(self.samples):
            sampled = await self._sampled(example, draft, feedback_text, number)
            passes = all_hold(verify_all(checks, sampled, instruction))
            if passes and not await self._objection(example, checks, draft, sampled):
                return Taught(feedback_text, sampled, way="sampled")
        texts = await self._texts(example, draft, needs(findings, draft))
        topic = _topic(example)
        edited = mend(draft, checks, instruction, topic, texts)
        if edited is None:
            return Taught(feedback_text, "", way="rejected: no edit passes the checks")
        if reason := await self._objection(example, checks, draft, edited):
            return Taught(feedback_text, "", way=f"rejected: {reason}")
        some = _some_of(checks, findings, draft)
        partly = mend(draft, some, instruction, topic, texts) if some else None
        return Taught(feedback_text, edited, way=EDITED, partly=partly or "")

    async def _objection(
        self, example: Example, checks: tuple[Check, ...], draft: str, refinement: str
    ) -> str:
        """Why a refinement is not taken; empty when it is."""
        kinds = {check.kind for check in checks}
        length = len(refinement) / max(1, len(draft))
        guards = self.guards
        if not kinds & _LENGTHENS and not guards.shortest <= length <= guards.longest:
            return "length out of bounds"
        if self.surprise is None or kinds & _UNUSUAL:
            return ""
        engine = self.writer.engine
        prompt = await engine.encode_chat(example.messages)
        before = await self.surprise.of(prompt, await engine.encode(draft))
        after = await self.surprise.of(prompt, await engine.encode(refinement))
        if after - before > math.log(guards.most_perplexity):
            return "perplexity out of bounds"
        return ""

    async def _sampled(self, example: Example, draft: str, feedback_text: str, number: int) -> str:
        request = _REQUEST.format(
            instruction=example.messages[-1].content, response=draft, feedback=feedback_text
        )
        return await self._write(Chat((Message("user", request),)), 512, f"{draft}/{number}")

    async def _texts(self, example: Example, draft: str, wanted: Needs) -> ModelTexts:
        if not wanted.anything:
            return ModelTexts()
        about = _topic(example) or example.meta.get("plain") or example.messages[-1].content
        sentences = []
        for number, word in enumerate(wanted.with_words):
            request = f'Write one sentence about {about} with the word "{word}" in it.'
            sentences += await self._first(request, f"{draft}/{number}", word)
        questions = []
        for number in range(wanted.questions):
            questions += await self._first(f"Write one question about {about}.", f"{number}", "?")
        return ModelTexts(
            await self._continuation(example, draft, wanted),
            tuple(sentences),
            tuple(questions),
            await self._second(example) if wanted.second else "",
        )

    async def _first(self, request: str, seed: str, having: str) -> list[str]:
        """The first sentence of the model's answer that has the text; none: nothing."""
        written = await self._write(Chat((Message("user", request),)), 60, seed)
        for sentence in split_sentences(written):
            if having.lower() in sentence.lower() and sentence[-1:] in ".!?":
                return [sentence.strip('"“” ')]
        return []

    async def _continuation(self, example: Example, draft: str, wanted: Needs) -> str:
        if not wanted.words and not wanted.sentences:
            return ""
        engine = self.writer.engine
        body = draft.rstrip() + joint(draft)
        ids = (*await engine.encode_chat(example.messages), *await engine.encode(body))
        tokens = 2 * wanted.words + 35 * wanted.sentences + 40
        return await self._write(Tokens(ids), min(600, tokens), "continuation")

    async def _second(self, example: Example) -> str:
        plain = example.meta.get("plain") or example.messages[-1].content
        return (await self._write(Chat((Message("user", plain),)), 300, "second")).strip()

    async def _write(self, prompt: Prompt, max_tokens: int, seed: str) -> str:
        engine = self.writer.engine
        if isinstance(prompt, Chat) and engine.has_tokens:
            prompt = Tokens(await engine.encode_chat(prompt.messages))
        digest = hashlib.sha256(seed.encode()).digest()
        sampling = Sampling(
            temperature=0.7,
            top_p=0.95,
            max_tokens=max_tokens,
            seed=int.from_bytes(digest[:4], "big") >> 1,
        )
        return (await self.writer.ask("write", prompt, sampling)).text


def _some_of(checks: Sequence[Check], findings: Sequence[Finding], draft: str) -> tuple[Check, ...]:
    """The checks that hold, and some of those that do not, drawn by the draft; none where a single
    one does not."""
    failing = [finding.check for finding in findings if not finding.passed]
    if len(failing) < 2:
        return ()
    rng = steady_random(draft)
    mended = rng.sample(failing, rng.randint(1, len(failing) - 1))
    return tuple(check for check in checks if check not in failing or check in mended)


def _said(example: Example, checks: Sequence[Check]) -> list[str]:
    """How the instruction words each check; Refused where it does not tell."""
    said = example.meta.get("said")
    if not isinstance(said, list) or len(said) != len(checks):
        raise Refused(
            "meta.said does not tell the words of each check; write it with 'constraints'"
        )
    return [str(words) for words in said]


def _topic(example: Example) -> str:
    return str(example.meta.get("topic") or "")


def checks_of(example: Example) -> tuple[Check, ...]:
    """The checks that are told with an instruction; Refused when there are none to read."""
    if "checks" not in example.meta:
        raise Refused("the instruction has no meta.checks; write it with 'constraints'")
    try:
        return read_checks(example.meta["checks"])
    except CheckError as error:
        raise Refused(f"meta.checks cannot be read: {error}") from error
