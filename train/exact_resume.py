"""A killed training ends at the weights of one never killed: checkpoints are marked when complete,
and the order of the data does not depend on how often the process was started."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from redraft.server import jsonl
from redraft.train.checkpoints import COMPLETE


class MarkComplete(TrainerCallback):  # type: ignore[misc]
    """Marks each checkpoint complete once all of it is on disk."""

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if not state.is_world_process_zero:
            return
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        for file in folder.rglob("*"):
            if file.is_file():
                _sync(file)
        jsonl.write_json(folder / COMPLETE, {"step": state.global_step})
        _sync(folder / COMPLETE)


def _sync(file: Path) -> None:
    with file.open("rb") as content:
        os.fsync(content.fileno())


class SameOrder(torch.utils.data.Sampler[int]):
    """Sequences of like length together, in an order that only seed and epoch decide.

    Like length together wastes less padding."""

    _CHUNK = 50  # batches that are sorted by length together; more would bias batches by length

    def __init__(self, lengths: Sequence[int], batch: int, seed: int) -> None:
        self._lengths, self._batch, self._seed, self._epoch = lengths, batch, seed, 0

    def __len__(self) -> int:
        return len(self._lengths)

    def set_epoch(self, epoch: int) -> None:
        self._epoch = epoch

    def __iter__(self) -> Iterator[int]:
        random = torch.Generator().manual_seed(self._seed * 1_000_003 + self._epoch)
        order = torch.randperm(len(self._lengths), generator=random).tolist()
        size = self._batch * self._CHUNK
        chunks = [order[i : i + size] for i in range(0, len(order), size)]
        length = self._lengths.__getitem__
        by_length = [i for chunk in chunks for i in sorted(chunk, key=length, reverse=True)]
        batches = [by_length[i : i + self._batch] for i in range(0, len(by_length), self._batch)]
        last = batches.pop() if len(batches[-1]) < self._batch else []
        for place in torch.randperm(len(batches), generator=random).tolist():
            yield from batches[place]
        yield from last
