"""Two systems on the same instructions: is the difference of their win rates real?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from redraft.benchmarks.commands.errors import MeasurementFailed
from redraft.benchmarks.commands.options import read
from redraft.benchmarks.output.results import Result, Table, plain, publish
from redraft.benchmarks.winrates.annotation_files import AnnotationSet, load_all
from redraft.benchmarks.winrates.preference import OtherReference, Paired, compare_win_rates
from redraft.server.options import ConfigError, option


@dataclass(frozen=True, kw_only=True)
class CompareOptions:
    files: tuple[Path, ...] = option("annotations of two systems", positional="FILE")
    min_shared: float = option(
        "share of the smaller file's judged instructions that the other must have", 0.9
    )
    seed: int = option("of the bootstrap", 0)
    out: Path = option("folder for the results", Path("runs/winrate"))

    def __post_init__(self) -> None:
        if len(self.files) != 2:
            raise ConfigError(f"{len(self.files)} annotation files were given; compare takes two")


def main(arguments: Sequence[str]) -> int:
    options = read(CompareOptions, "winrate compare", arguments, __doc__)
    (name, ours), (other, theirs) = load_all(options.files).items()
    try:
        paired = compare_win_rates(ours.annotations, theirs.annotations, options.seed)
    except OtherReference as error:
        raise MeasurementFailed(str(error)) from error
    _require_shared(paired, options.min_shared)
    comparison = paired.comparison
    columns = ("systems", "win-rate points", "better/equal/worse", "p (sign test)")
    title = f"{name} minus {other}"
    row = (title, comparison.difference, comparison.shown, comparison.p_value)
    note = _note(paired, {name: ours, other: theirs})
    alone = paired.first_alone + paired.second_alone
    failures = {"in_one_only": alone} if alone else {}
    counts = {
        "paired": comparison.difference.n,
        "judged_in_first_alone": paired.first_alone,
        "judged_in_second_alone": paired.second_alone,
    }
    about = f"{name} against {other}, paired by instruction."
    tables = (Table(title, columns, (row,), note),)
    figures = plain(comparison) | counts
    publish(Result("compare", about, asdict(options), figures, failures, tables), options.out)
    return 0


def _require_shared(paired: Paired, min_shared: float) -> None:
    both = paired.comparison.difference.n
    smaller = both + min(paired.first_alone, paired.second_alone)
    if both < 2 or both < min_shared * smaller:
        raise MeasurementFailed(
            f"{both} instructions are judged in both files, of {both + paired.first_alone} in "
            f"the first and {both + paired.second_alone} in the second; --min-shared "
            f"{min_shared:g} needs {max(2, min_shared * smaller):g}. Are they of the same "
            "instructions?"
        )


def _note(paired: Paired, sets: dict[str, AnnotationSet]) -> str:
    first, second = sets
    counts = (
        f"{paired.comparison.difference.n} instructions are judged in both files; left out are "
        f"{paired.first_alone} judged for {first} alone and {paired.second_alone} for {second} "
        "alone."
    )
    copies = [
        f"Of {name} {each.copies} rows are copies of others and count once."
        for name, each in sets.items()
        if each.copies
    ]
    return " ".join(["Paired by instruction; 95% bootstrap interval.", counts, *copies])
