"""Training rows as token ids: which of them fit, and those as a data set. None is ever cut."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from redraft.server.options import ConfigError


class TrainingRow(Protocol):
    @property
    def length(self) -> int:
        """In tokens."""
        ...

    @property
    def columns(self) -> Mapping[str, Sequence[int]]:
        """As TRL names them."""
        ...


R = TypeVar("R", bound=TrainingRow)


def fitting(
    rows: Sequence[R], what: str, window: int, max_length: int | None, max_dropped: float
) -> list[R]:
    """The rows no longer than the model's window and ``max_length``; when more than a share of
    ``max_dropped`` is longer, ConfigError."""
    if not rows:
        raise ConfigError(f"there is nothing to train on: the data holds no {what}")
    limit = min(window, max_length or window)
    fit = [row for row in rows if row.length <= limit]
    dropped = len(rows) - len(fit)
    if dropped > max_dropped * len(rows):
        lengths = sorted(row.length for row in rows)
        enough = lengths[min(len(lengths) - 1, int(len(lengths) * (1 - max_dropped)))]
        raise ConfigError(
            f"{dropped} of {len(rows)} {what} are longer than {limit} tokens, more than "
            f"{max_dropped:.1%}; the longest has {lengths[-1]}. Set max_length to at least "
            f"{enough}, up to the model's window of {window}"
        )
    return fit


def dataset(rows: Iterable[TrainingRow]) -> Any:
    """A data set of the rows, in flat arrays: a list of int objects takes ten times the memory."""
    import pyarrow as pa
    from datasets import Dataset

    ids: dict[str, array[int]] = defaultdict(lambda: array("i"))
    ends: dict[str, array[int]] = defaultdict(lambda: array("i", [0]))
    for row in rows:
        for name, column in row.columns.items():
            ids[name].extend(column)
            ends[name].append(len(ids[name]))
    return Dataset(
        pa.table(
            {
                name: pa.ListArray.from_arrays(
                    pa.array(ends[name], pa.int32()), pa.array(ids[name], pa.int32())
                )
                for name in ids
            }
        )
    )
