"""Pairs as token ids: prompt, chosen and rejected, each ending as a first response does."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from redraft.server.options import ConfigError
from redraft.train.data.records import Pair
from redraft.train.data.tokens import Tokenizer


@dataclass(frozen=True, slots=True)
class PairRow:
    prompt: tuple[int, ...]
    chosen: tuple[int, ...]
    rejected: tuple[int, ...]

    @property
    def length(self) -> int:
        return len(self.prompt) + max(len(self.chosen), len(self.rejected))


@dataclass(frozen=True, slots=True)
class PairLengths:
    """What the check of lengths found."""

    num_pairs: int
    num_tokens: int
    longest: int
    dropped: int


def rows(pairs: Iterable[Pair], tokenizer: Tokenizer, limit: int | None) -> Iterator[PairRow]:
    srt_format = tokenizer.srt_format()

    def response(text: str, ids: tuple[int, ...], made_by: str) -> tuple[int, ...]:
        same = bool(ids) and made_by == tokenizer.fingerprint
        # A first response ends where feedback begins: that is the end stage one taught it, and
        # what the server stops at. Both get it, so that the end itself decides nothing.
        return (*(ids if same else tokenizer.encode(text)), *srt_format.feedback.ids)

    for pair in islice(pairs, limit):
        yield PairRow(
            tokenizer.encode_chat(pair.messages),
            response(pair.chosen, pair.chosen_ids, pair.tokenizer),
            response(pair.rejected, pair.rejected_ids, pair.tokenizer),
        )


def checked(
    found: Iterable[PairRow], window: int, max_length: int | None, max_dropped: float
) -> tuple[list[PairRow], PairLengths]:
    """The pairs that fit; too many that do not are an error, none is cut."""
    everything = list(found)
    if not everything:
        raise ConfigError("there is nothing to train on: no pairs")
    limit = min(window, max_length or window)
    fitting = [row for row in everything if row.length <= limit]
    dropped = len(everything) - len(fitting)
    longest = max(row.length for row in everything)
    if dropped > max_dropped * len(everything):
        raise ConfigError(
            f"{dropped} of {len(everything)} pairs are longer than {limit} tokens, more than "
            f"{max_dropped:.1%}; the longest has {longest}. Raise max_length, up to the model's "
            f"window of {window}"
        )
    total = sum(2 * len(r.prompt) + len(r.chosen) + len(r.rejected) for r in fitting)
    return fitting, PairLengths(len(fitting), total, longest, dropped)


def dataset(pairs: Iterable[PairRow]) -> Any:
    """The pairs as a data set, in flat arrays."""
    import pyarrow as pa
    from datasets import Dataset

    flat = {name: array("i") for name in ("prompt", "chosen", "rejected")}
    ends = {name: array("i", [0]) for name in flat}
    for row in pairs:
        for name, ids in flat.items():
            ids.extend(getattr(row, name))
            ends[name].append(len(ids))
    columns = {
        f"{name}_ids": pa.ListArray.from_arrays(
            pa.array(ends[name], pa.int32()), pa.array(ids, pa.int32())
        )
        for name, ids in flat.items()
    }
    return Dataset(pa.table(columns))
