"""Win rates of annotation files, raw and length-controlled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from redraft.benchmarks.commands.options import read
from redraft.benchmarks.winrates.alpaca import name_of, read_annotations
from redraft.benchmarks.winrates.rate_table import RateOptions, report
from redraft.server.options import option


@dataclass(frozen=True, kw_only=True)
class ScoreOptions(RateOptions):
    files: tuple[Path, ...] = option("annotations", positional="FILE")


def main(arguments: Sequence[str]) -> int:
    options = read(ScoreOptions, "winrate score", arguments, __doc__)
    annotations = {name_of(path): read_annotations(path) for path in options.files}
    unjudged = {name: sum(a.preference is None for a in rows) for name, rows in annotations.items()}
    report(options, annotations, {name: count for name, count in unjudged.items() if count})
    return 0
