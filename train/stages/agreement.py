"""How far a model's own scores agree with given judgements (the paper's Table 5).

    redraft train agreement --model model=DIR/stage2 --pairs held_out.jsonl --output after.json \\
                            --before before.json --max-fall 0.02

A pair is right when the better response gets the strictly higher score: a tie is wrong, as in the
paper. Stage two makes small models worse critics; a recipe says how much worse it accepts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from redraft.server import jsonl
from redraft.server.engine.base import Call, Engine, Message, Tokens, complete
from redraft.server.options import ConfigError, option
from redraft.server.refine.srt_format import SrtFormat
from redraft.train.critics import phase_sampling, readable_score
from redraft.train.data import judgements, tokens
from redraft.train.data.records import PreferencePair
from redraft.train.engines import opened, spec
from redraft.train.program import read

FELL = 4  # exit status
MAX_FALL, FEEDBACK_TOKENS = 0.02, 1024  # unless a recipe says otherwise


@dataclass(frozen=True, slots=True)
class AgreementOptions:
    """Agreement of a model's own scores with held-out judgements."""

    model: Mapping[str, Any] = option("the model, as collect takes it", shorthand="model")
    pairs: str = option("judged pairs, a file or data set (Anthropic/hh-rlhf:test)")
    output: str = option("JSON file for the figures")
    tokenizer: str | None = option("folder of its tokenizer, when the model is behind a url", None)
    before: str | None = option("figures of the model before training, to compare with", None)
    max_fall: float = option("most the agreement may fall", MAX_FALL)
    limit: int | None = option("how many of them; paper Table 5: 500", None)
    max_tokens: int = option("of one feedback", FEEDBACK_TOKENS)


@dataclass(frozen=True, slots=True)
class JudgementAgreement:
    """How many pairs the model's scores order as the judgements do."""

    right: int
    ties: int
    wrong: int
    unreadable: int  # feedback without a score for one of the two

    @property
    def pairs(self) -> int:
        return self.right + self.ties + self.wrong + self.unreadable

    @property
    def share(self) -> float:
        return self.right / self.pairs if self.pairs else 0.0

    def __str__(self) -> str:
        return (
            f"{self.share:.1%} of {self.pairs} pairs ({self.ties} ties, {self.wrong} wrong, "
            f"{self.unreadable} unreadable)"
        )

    def write(self, file: Path) -> None:
        jsonl.write_json(file, {**asdict(self), "share": self.share})

    @classmethod
    def load(cls, file: Path) -> JudgementAgreement:
        content = jsonl.read_document(file)
        counts = ("right", "ties", "wrong", "unreadable")
        if not isinstance(content, dict) or not all(type(content.get(n)) is int for n in counts):
            raise jsonl.FileError(f"{file} needs whole numbers as {', '.join(counts)}")
        return cls(*(content[name] for name in counts))


async def measure(
    engine: Engine,
    srt_format: SrtFormat,
    pairs: Sequence[PreferencePair],
    max_tokens: int,
    at_once: int,
) -> JudgementAgreement:
    """Both responses of every pair scored by the model, apart from each other."""
    free = asyncio.Semaphore(at_once)
    sampling = phase_sampling(srt_format, max_tokens)

    async def score(messages: tuple[Message, ...], response: str, name: str) -> int | None:
        chat, written = await engine.encode_chat(messages), await engine.encode(response)
        prompt = Tokens(srt_format.feedback_prompt(chat, written))
        async with free:
            return readable_score((await complete(engine, prompt, sampling, Call(name))).text)

    scores = await asyncio.gather(
        *(
            score(pair.messages, text, f"agreement-{number}-{which}")
            for number, pair in enumerate(pairs)
            for which, text in (("chosen", pair.chosen), ("rejected", pair.rejected))
        )
    )
    return counted(list(zip(scores[::2], scores[1::2], strict=True)))


def counted(scores: Sequence[tuple[int | None, int | None]]) -> JudgementAgreement:
    """From the scores of the better and the worse response of each pair."""
    both = [(b, w) for b, w in scores if b is not None and w is not None]
    right, ties = sum(b > w for b, w in both), sum(b == w for b, w in both)
    return JudgementAgreement(right, ties, len(both) - right - ties, len(scores) - len(both))


def fall(before: JudgementAgreement, after: JudgementAgreement, allowed: float) -> str | None:
    """The problem when the agreement fell further than allowed; None when it did not."""
    fell = before.share - after.share
    if fell <= allowed:
        return None
    return (
        f"agreement with held-out judgements fell from {before.share:.1%} to {after.share:.1%}, "
        f"by {fell:.1%}; the recipe allows {allowed:.1%}. The model drafts better and judges "
        f"worse: lower the learning rate or raise beta, or keep stage one as the critic"
    )


async def _measured(options: AgreementOptions) -> JudgementAgreement:
    model = spec(options.model, "model")
    pairs = judgements.read(options.pairs, options.limit)
    srt_format = tokens.load(options.tokenizer or model.model).srt_format()
    async with opened(model, model.retries) as engine:
        if not engine.has_tokens:
            raise ConfigError(f"{model.url} does not take token ids; agreement needs them")
        return await measure(engine, srt_format, pairs, options.max_tokens, model.max_concurrency)


def main(argv: Sequence[str]) -> int:
    options = read(AgreementOptions, "agreement", argv)
    before = JudgementAgreement.load(Path(options.before)) if options.before else None
    agreement = asyncio.run(_measured(options))
    print(f"agreement: {agreement}")
    agreement.write(Path(options.output))
    if before is None:
        return 0
    if problem := fall(before, agreement, options.max_fall):
        print(f"agreement: {problem}")
        return FELL
    return 0
