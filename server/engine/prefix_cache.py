"""A prefix cache as engines have one, which counts the tokens it holds and nothing else."""

from __future__ import annotations

from collections.abc import Iterable


class PrefixCache:
    """The blocks of all sequences so far; a block is its tokens and those of all blocks before."""

    LARGEST = 100_000  # blocks; it is emptied then, so that a long run does not fill the memory

    def __init__(self, block_size: int) -> None:
        self._block_size = block_size
        self._blocks: set[int] = set()

    def match(self, ids: tuple[int, ...]) -> int:
        """The number of leading tokens that are cached, never all: the last token has to be
        processed to generate the next."""
        for cached, block in enumerate(self._hashes(ids[:-1])):
            if block not in self._blocks:
                return cached * self._block_size
        return (len(ids) - 1) // self._block_size * self._block_size

    def add(self, ids: tuple[int, ...]) -> None:
        if len(self._blocks) > self.LARGEST:
            self._blocks.clear()
        self._blocks.update(self._hashes(ids))

    def _hashes(self, ids: tuple[int, ...]) -> Iterable[int]:
        before, size = 0, self._block_size
        for start in range(0, len(ids) - size + 1, size):
            before = hash((before, ids[start : start + size]))
            yield before
