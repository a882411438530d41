"""One run of collecting: drafts by the base model, then a critic's feedback, refinement, scores."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from redraft.server.engine.base import Chat, Message, Prompt, Sampling, Tokens
from redraft.server.options import option
from redraft.train.critics import EDITED, LessonCritic, independent, weighted_kappa
from redraft.train.data.instructions import SHAPE_HELP
from redraft.train.data.ledger import Entry
from redraft.train.data.records import Example, Lesson
from redraft.train.on_signal import on_signal
from redraft.train.paid_engine import CostReached, PaidCallFailed, PaidEngine
from redraft.train.progress import bar

HOPELESS = 20  # instructions that fail before the first that works: the key or the URL is wrong


@dataclass(frozen=True, slots=True)
class CollectOptions:
    """Drafts of the base model, with a critic's feedback, refinement and scores."""

    data: tuple[str, ...] = option("files (.jsonl, .json, .parquet) or data sets (NAME:SPLIT)")
    output: str = option("folder for the ledger and the lessons")
    model: Mapping[str, Any] = option(
        "who drafts: model=FOLDER, or model=NAME url=URL, ...", shorthand="model"
    )
    critic: Mapping[str, Any] = option(
        "'exact' (workbench), 'checks' (of the instructions), 'self', or an engine like --model",
        shorthand="model",
    )
    other_critics: tuple[Mapping[str, Any], ...] = option(
        "more critics that only score, to see how far critics agree (in a file)",
        (),
        shorthand="model",
    )
    shape: str = option(SHAPE_HELP, "auto")
    limit: int | None = option("how many instructions to pick; paper: 25000", None)
    skip: int = option("leave out so many of the pick, seen by an earlier stage", 0)
    drafts: int = option("drafts for each instruction, all different samples", 1)
    follow_ups: float = option("share of lessons followed by one with the refinement as draft", 0.0)
    partly: bool = option("and by one with a draft of which only some is mended (checks)", False)
    temperature: float = option("of the drafts; paper section 4.1: 0.7", 0.7)
    max_tokens: int = option("of a draft; paper section 4.1: 2048", 2048)
    samples: int = option(
        "refinements the drafting model samples before its draft is edited (critic checks)", 0
    )
    quotes: bool = option("feedback names constraints in the instruction's words (checks)", False)
    score: bool = option("score draft and refinement independently", True)
    seed: int = option("picks the instructions and seeds the drafts", 0)
    max_cost: float | None = option("stop before spending more than this", None)
    max_seconds: float | None = option(
        "begin no further lesson after so long; keep those made", None
    )
    max_failures: float = option("share of instructions that may fail", 0.05)
    dry_run: bool = option("only say what it would take", False)


@dataclass(slots=True)
class Collector:
    """Collects the lessons, and notes the drafts that gave none."""

    options: CollectOptions
    drafter: PaidEngine
    critic: LessonCritic
    other_critics: Sequence[LessonCritic] = ()
    tokenizer: str = ""  # fingerprint of the drafter's; "" = its ids are not kept
    lessons: dict[int, list[Lesson]] = field(default_factory=dict)
    failures: list[dict[str, Any]] = field(default_factory=list)
    scores: list[tuple[int | None, ...]] = field(default_factory=list)  # the first critic's first
    stopped: str | None = None
    cost_reached: bool = False
    _started: float = field(default=0.0, init=False)
    left_out: int = 0  # drafts that were not begun in the time given

    async def run(self, examples: Sequence[Example]) -> None:
        drafts = [(e, n) for e in examples for n in range(self.options.drafts)]
        queue = iter(enumerate(drafts))
        self._started = time.monotonic()
        # Twice as many as may ask at once: while some wait for the disk, others ask.
        workers = min(len(drafts), 2 * self.drafter.source.max_concurrency)
        with bar(len(drafts), "collect", "lesson") as progress:
            work = asyncio.gather(*(self._work(queue, progress) for _ in range(workers)))
            with on_signal(lambda: self._stop(work)):
                try:
                    await work
                except asyncio.CancelledError:
                    if self.stopped is None:
                        raise

    def _stop(self, work: asyncio.Future[Any]) -> None:
        """End what is under way, so that what is there can be written."""
        self.stopped = "told to stop"
        work.cancel()

    async def _work(self, queue: Iterator[tuple[int, tuple[Example, int]]], progress: Any) -> None:
        for index, (example, number) in queue:
            if self.stopped:
                return
            if self._is_late():
                self.left_out += 1
                continue
            try:
                self.lessons[index] = await self._lessons(example, number)
            except CostReached as error:
                self.stopped, self.cost_reached = str(error), True
                return
            except PaidCallFailed as error:
                self._fail(example, error)
            progress.update()
            progress.set_postfix(cost=f"{self.drafter.budget.spent:.2f}", refresh=False)

    def _is_late(self) -> bool:
        most = self.options.max_seconds
        return most is not None and time.monotonic() - self._started > most

    def _fail(self, example: Example, error: PaidCallFailed) -> None:
        row = {"id": example.id, "origin": example.origin, "reason": error.reason}
        self.failures.append({**row, "detail": str(error)})
        if len(self.failures) >= HOPELESS and not self.lessons:
            self.stopped = f"the first {HOPELESS} instructions all failed: {error}"

    async def _lessons(self, example: Example, number: int) -> list[Lesson]:
        entry = await self._draft(example, number)
        draft = Lesson(
            messages=example.messages,
            draft=entry.text,
            feedback="",
            refinement="",
            draft_ids=entry.token_ids if self.tokenizer else (),
            tokenizer=self.tokenizer,
            cut="draft" if entry.finish_reason == "length" else "",
            critic=self.critic.name,
            meta=example.meta,
        )
        lesson, partly = await self._taught(example, draft)
        mended = lesson.refinement and lesson.refinement != lesson.draft.strip()
        paid_for_in_vain = lesson.cut and lesson.meta.get("way") != EDITED  # by most filters
        if not mended or paid_for_in_vain or not self._is_followed(example, number):
            return [lesson]
        drafts = [lesson.refinement, *([partly] if partly and self.options.partly else [])]
        followed = [replace(draft, draft=text, draft_ids=()) for text in drafts]
        return [lesson, *[(await self._taught(example, each))[0] for each in followed]]

    def _is_followed(self, example: Example, number: int) -> bool:
        drawn = _hash(f"{self.options.seed}/{example.id}/{number}/follow-up") / 2**32
        return drawn < self.options.follow_ups

    async def _taught(self, example: Example, draft: Lesson) -> tuple[Lesson, str]:
        """The draft with what the critic says of it, and the draft mended in part."""
        taught = await self.critic.teach(example, draft.draft)
        cut = draft.cut or "refinement" * taught.cut
        lesson = replace(draft, feedback=taught.feedback, refinement=taught.refinement, cut=cut)
        if taught.way:
            lesson = replace(lesson, meta={**lesson.meta, "way": taught.way})
        if self.options.score and taught.refinement:
            lesson = await self._scored(example, lesson)
        return lesson, taught.partly

    async def _scored(self, example: Example, lesson: Lesson) -> Lesson:
        texts = (lesson.draft, lesson.refinement)
        draft_score, refinement_score = await independent(self.critic, example, texts)
        others = [await critic.score(example, lesson.draft) for critic in self.other_critics]
        if others:
            self.scores.append((draft_score, *others))
        return replace(lesson, draft_score=draft_score, refinement_score=refinement_score)

    async def _draft(self, example: Example, number: int) -> Entry:
        example = _drafted(example)
        engine = self.drafter.engine
        prompt: Prompt = Chat(example.messages)
        if engine.has_tokens:
            prompt = Tokens(await engine.encode_chat(example.messages))
        sampling = Sampling(
            temperature=self.options.temperature,
            max_tokens=self.options.max_tokens,
            seed=_hash(f"{self.options.seed}/{example.id}/{number}") >> 1,
        )
        return await self.drafter.ask("draft", prompt, sampling)

    def summary(self, seconds: float) -> dict[str, Any]:
        summary: dict[str, Any] = {
            "lessons": sum(map(len, self.lessons.values())),
            "failed": dict(Counter(failure["reason"] for failure in self.failures)),
            "stopped": self.stopped,
            "left_out": self.left_out,
            "spent": asdict(self.drafter.spent),
            "cost_in_ledger": round(self.drafter.ledger.spent, 6),
            "seconds": round(seconds, 1),
        }
        if ways := self._ways():
            summary["ways"] = ways
        if self.other_critics:
            summary["agreement"] = self._agreement()
        return summary

    def _ways(self) -> dict[str, int]:
        """How many refinements came about in which way, and why some did not."""
        lessons = (lesson for lessons in self.lessons.values() for lesson in lessons)
        return dict(Counter(le.meta["way"] for le in lessons if "way" in le.meta).most_common())

    def _agreement(self) -> dict[str, Any]:
        """Weighted kappa of each other critic with the first, over drafts both could score."""
        result = {}
        for place, critic in enumerate(self.other_critics, 1):
            pairs = [(scores[0], scores[place]) for scores in self.scores]
            both = [(a, b) for a, b in pairs if a is not None and b is not None]
            kappa = weighted_kappa([a for a, _ in both], [b for _, b in both])
            result[critic.name] = {"kappa": kappa, "responses": len(both), "of": len(pairs)}
        return result


def _drafted(example: Example) -> Example:
    """The instruction the draft is written for: several sets of constraints may share a draft."""
    if text := example.meta.get("draft_for"):
        return replace(example, messages=(Message("user", str(text)),))
    return example


def _hash(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
