"""Win rates of annotation files, raw and length-controlled."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from redraft.benchmarks.commands.errors import MeasurementFailed
from redraft.benchmarks.commands.options import read
from redraft.benchmarks.winrates.annotation_files import load_all
from redraft.benchmarks.winrates.rate_table import RateOptions, report
from redraft.server.options import option


@dataclass(frozen=True, kw_only=True)
class ScoreOptions(RateOptions):
    files: tuple[Path, ...] = option("annotations", positional="FILE")


def main(arguments: Sequence[str]) -> int:
    options = read(ScoreOptions, "winrate score", arguments, __doc__)
    sets = load_all(options.files)
    for name, each in sets.items():
        if len(each.annotations) - each.unjudged < 2:
            raise MeasurementFailed(
                f"{name}: {each.unjudged} of {len(each.annotations)} rows are unjudged; a rate "
                "needs two that are judged"
            )
    # A journal has no row for what a judge failed at: of AlpacaEval's set, missing is unjudged.
    lacking = {name: each.unjudged + each.missing for name, each in sets.items()}
    report(options, sets, {name: count for name, count in lacking.items() if count})
    code = 0
    for name, each in sets.items():
        instructions = len(each.annotations) + each.missing
        allowed = options.max_unjudged * instructions
        if lacking[name] > allowed:
            code = 1
            print(
                f"{name}: {lacking[name]} of {instructions} are unjudged ({each.missing} have no "
                f"row); the limit is {allowed:g}, see --max-unjudged",
                file=sys.stderr,
            )
    return code
