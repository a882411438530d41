"""Annotation files as they are scored: each instruction once, each file under a name of its own,
and what is odd about their rows put in words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from redraft.benchmarks.winrates.alpaca import Annotation, name_of, read_annotations
from redraft.benchmarks.winrates.known_set import known_set
from redraft.server.jsonl import FileError
from redraft.server.options import ConfigError


@dataclass(frozen=True, slots=True)
class AnnotationSet:
    """The annotations of one system, no instruction twice."""

    annotations: Sequence[Annotation]
    copies: int = 0  # rows left out, each the same as one that is there

    @property
    def unjudged(self) -> int:
        return sum(each.preference is None for each in self.annotations)

    @property
    def missing(self) -> int:
        """How many of AlpacaEval's instructions have no row; 0 where others have one."""
        whole = all(each.known for each in self.annotations)
        return len(known_set()) - len(self.annotations) if whole else 0

    @property
    def moved(self) -> int:
        """How many of AlpacaEval's instructions are in another row than in its own files."""
        return sum(each.moved for each in self.annotations)

    def remarks(self) -> Iterator[str]:
        if self.copies:
            yield f"{self.copies} rows are copies of others and count once"
        if self.missing:
            yield f"{self.missing} of AlpacaEval's {len(known_set())} instructions are missing"
        if self.moved:
            yield f"{self.moved} rows are not in AlpacaEval's order"


def load(path: Path) -> AnnotationSet:
    """FileError where two rows say different things of one instruction."""
    distinct: dict[str, Annotation] = {}
    annotations = read_annotations(path)
    for each in annotations:
        first = distinct.setdefault(each.instruction, each)
        if replace(each, row=first.row) != first:
            raise FileError(
                f"{path} has two verdicts on one instruction, in rows {first.row + 1} and "
                f"{each.row + 1}: preferences {first.preference} and {each.preference}; keep one "
                "(a judge's journal holds those of all its runs: give each run its own --out)"
            )
    return AnnotationSet(tuple(distinct.values()), len(annotations) - len(distinct))


def load_all(paths: Sequence[Path]) -> dict[str, AnnotationSet]:
    """By the system's name; where two files have the same one, the end of its path goes with it."""
    times = Counter(path.resolve() for path in paths)
    if twice := [path for path in paths if times[path.resolve()] > 1]:
        raise ConfigError(f"{twice[0]} was given twice; give each annotation file once")
    sets = [load(path) for path in paths]
    names = [name_of(path) for path in paths]
    depth = 1
    while len(labels := dict(zip(_labels(names, paths, depth), sets, strict=True))) < len(sets):
        depth += 1
    return labels


def _labels(names: Sequence[str], paths: Sequence[Path], depth: int) -> Iterator[str]:
    for name, path in zip(names, paths, strict=True):
        end = "/".join(path.resolve().parts[-depth:])
        yield name if names.count(name) == 1 else f"{name} ({end})"
