"""Pairs as token ids: prompt, chosen and rejected, each ending as a first response does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from redraft.train.data.records import PreferencePair
from redraft.train.data.token_rows import fitting
from redraft.train.data.tokens import Tokenizer


@dataclass(frozen=True, slots=True)
class PairRow:
    prompt: tuple[int, ...]
    chosen: tuple[int, ...]
    rejected: tuple[int, ...]

    @property
    def length(self) -> int:
        return len(self.prompt) + max(len(self.chosen), len(self.rejected))

    @property
    def columns(self) -> dict[str, tuple[int, ...]]:
        return {
            "prompt_ids": self.prompt,
            "chosen_ids": self.chosen,
            "rejected_ids": self.rejected,
        }


@dataclass(frozen=True, slots=True)
class PairLengths:
    """Figures of the pairs that are trained on."""

    num_pairs: int
    num_tokens: int
    longest: int
    dropped: int


def rows(
    pairs: Iterable[PreferencePair], tokenizer: Tokenizer, limit: int | None
) -> Iterator[PairRow]:
    # A first response ends where feedback begins: that is the end stage one taught it, and what
    # the server stops at. Both get it, so that the end itself decides nothing.
    end = tokenizer.srt_format().feedback.ids
    for pair in islice(pairs, limit):
        chosen = tokenizer.sampled(pair.chosen, pair.chosen_ids, pair.tokenizer)
        rejected = tokenizer.sampled(pair.rejected, pair.rejected_ids, pair.tokenizer)
        yield PairRow(tokenizer.encode_chat(pair.messages), chosen + end, rejected + end)


def checked(
    rows: Iterable[PairRow], window: int, max_length: int | None, max_dropped: float
) -> tuple[list[PairRow], PairLengths]:
    """The pairs that fit, and what was found."""
    every = list(rows)
    fit = fitting(every, "pairs", window, max_length, max_dropped)
    return fit, PairLengths(
        num_pairs=len(fit),
        num_tokens=sum(2 * len(r.prompt) + len(r.chosen) + len(r.rejected) for r in fit),
        longest=max(row.length for row in every),
        dropped=len(every) - len(fit),
    )
