"""Two systems on the same instructions: is the difference of their win rates real?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from redraft.benchmarks.commands.options import read
from redraft.benchmarks.output.results import Result, Table, plain, publish
from redraft.benchmarks.winrates.alpaca import name_of, read_annotations
from redraft.benchmarks.winrates.preference import compare_win_rates
from redraft.server.options import ConfigError, option


@dataclass(frozen=True, kw_only=True)
class CompareOptions:
    files: tuple[Path, ...] = option("annotations of two systems", positional="FILE")
    seed: int = option("of the bootstrap", 0)
    out: Path = option("folder for the results", Path("runs/winrate"))

    def __post_init__(self) -> None:
        if len(self.files) != 2:
            raise ConfigError(f"{len(self.files)} annotation files were given; compare takes two")


def main(arguments: Sequence[str]) -> int:
    options = read(CompareOptions, "winrate compare", arguments, __doc__)
    ours, theirs = (read_annotations(path) for path in options.files)
    names = [name_of(path) for path in options.files]
    comparison = compare_win_rates(ours, theirs, options.seed)
    about = f"{names[0]} against {names[1]}, paired by instruction."
    columns = ("systems", "win-rate points", "better/equal/worse", "p (sign test)")
    counts = comparison.shown
    title = f"{names[0]} minus {names[1]}"
    row = (title, comparison.difference, counts, comparison.p_value)
    left_out = max(len(ours), len(theirs)) - comparison.difference.n
    failures = {"in_one_only": left_out} if left_out else {}
    tables = (Table(title, columns, (row,)),)
    result = Result("compare", about, asdict(options), plain(comparison), failures, tables)
    publish(result, options.out)
    return 0
