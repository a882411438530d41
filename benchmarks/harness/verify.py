"""Check the scorers on stored model outputs whose accuracy is published.

The rows, the right ones among them and the accuracy must be as published, and where a verdict on
each output is published (GSM8K), each of these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, TypeVar

from redraft.benchmarks.commands.options import read
from redraft.benchmarks.grading.scorers import bbh_right, gsm8k_right
from redraft.benchmarks.output.results import Cell, Result, Table, publish
from redraft.server import jsonl
from redraft.server.options import option

TOLERANCE = 1e-9  # points
MODES = ("cot", "direct")  # of BBH
Outputs = TypeVar("Outputs")


@dataclass(frozen=True, kw_only=True)
class ScorersOptions:
    data: Path = option("folder of the task sets")
    out: Path = option("folder for the results", Path("runs/tasks"))


@dataclass(frozen=True, slots=True)
class Output:
    """One stored output: our verdict on it, and the published one where there is one."""

    row: int  # of its question
    right: bool
    published: bool | None = None


@dataclass(frozen=True, slots=True)
class VerifiedOutputs:
    """The outputs of one model on one task beside what is published of them."""

    name: str
    outputs: Sequence[Output]
    rows: int  # published
    accuracy: float  # published, percent

    @property
    def ours(self) -> float:
        return 100 * fmean(each.right for each in self.outputs) if self.outputs else float("nan")

    @property
    def unlike(self) -> int:
        return sum(o.published is not None and o.published != o.right for o in self.outputs)

    @property
    def difference(self) -> str:
        """What is not as published; empty where all is."""
        copies = len(self.outputs) - len({each.row for each in self.outputs})
        right = sum(each.right for each in self.outputs)
        reasons = []
        if copies:
            reasons.append(f"{copies} rows are there twice")
        if len(self.outputs) != self.rows:
            reasons.append(f"{len(self.outputs)} rows instead of {self.rows}")
        if self.unlike:
            reasons.append(f"{self.unlike} verdicts differ")
        # Not "more than": no comparison with NaN holds.
        if not abs(self.ours - self.accuracy) <= TOLERANCE:
            reasons.append(f"{right} right is not the accuracy published")
        return "; ".join(reasons)

    @property
    def cells(self) -> tuple[Cell, ...]:
        counts = (len(self.outputs), self.rows)
        return (self.name, *counts, self.ours, self.accuracy, self.difference or "same")


def main(arguments: Sequence[str]) -> int:
    options = read(ScorersOptions, "tasks verify", arguments, __doc__)
    checked = [*_gsm8k(options.data / "gsm8k"), *_bbh(options.data / "bbh")]
    different = sum(bool(each.difference) for each in checked)
    columns = ("outputs", "rows", "published", "right %", "published %", "verdict")
    rows = tuple(each.cells for each in checked)
    table = Table("Stored outputs, scored and published", columns, rows)
    figures = {"outputs": len(checked), "same": len(checked) - different}
    failures = {"different": different} if different else {}
    about = "The scorers on model outputs whose accuracy is published."
    publish(Result("scorers", about, asdict(options), figures, failures, (table,)), options.out)
    return 1 if different else 0


def _gsm8k(folder: Path) -> Iterator[VerifiedOutputs]:
    lines = _outputs(folder / "scored_model_solutions.jsonl")
    for model, expected in _published(folder / "expected.json", ("n", "accuracy")):

        def output(row: Mapping[str, Any], model: str = model) -> Output:
            right = gsm8k_right(row[model]["solution"], row["ground_truth"])
            return Output(row["row"], right, bool(row[model]["is_correct"]))

        outputs = [_of(line, output, f"row, ground_truth and {model}'s solution") for line in lines]
        yield VerifiedOutputs(f"gsm8k {model}", outputs, expected["n"], expected["accuracy"])


def _bbh(folder: Path) -> Iterator[VerifiedOutputs]:
    published = dict(_published(folder / "expected.json", ("n", "cot_accuracy", "direct_accuracy")))
    stored = {path.stem for path in (folder / "scored_outputs").glob("*.jsonl")}
    if unknown := sorted(stored - published.keys()):
        raise jsonl.FileError(f"{folder / 'expected.json'} has no accuracy of {unknown[0]}")
    for task, expected in published.items():
        lines = _outputs(folder / "scored_outputs" / f"{task}.jsonl")
        outputs = [
            _of(line, _bbh_output, f"mode ({' or '.join(MODES)}), row, prediction and target")
            for line in lines
        ]
        for mode in MODES:
            of_mode = [output for its_mode, output in outputs if its_mode == mode]
            accuracy = expected[f"{mode}_accuracy"]
            yield VerifiedOutputs(f"bbh {task} {mode}", of_mode, expected["n"], accuracy)


def _bbh_output(row: Mapping[str, Any]) -> tuple[str, Output]:
    if row["mode"] not in MODES:
        raise KeyError(row["mode"])
    return row["mode"], Output(row["row"], bbh_right(row["prediction"], row["target"]))


def _outputs(path: Path) -> list[jsonl.Line]:
    if not (lines := list(jsonl.lines(path))):
        raise jsonl.FileError(f"{path} holds no outputs")
    return lines


def _of(
    line: jsonl.Line, outputs: Callable[[Mapping[str, Any]], Outputs], expected: str
) -> Outputs:
    try:
        return outputs(line.row())
    except (KeyError, TypeError, AttributeError) as error:
        raise line.error(expected) from error


def _published(path: Path, figures: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Published figures by name."""
    published = jsonl.read_document(path)
    if not isinstance(published, dict) or not published:
        raise jsonl.FileError(f"{path} needs an object with published figures, got {published!r}")
    for name, of_name in published.items():
        for figure in figures:
            if not isinstance(of_name, dict) or not isinstance(of_name.get(figure), int | float):
                raise jsonl.FileError(f"{path} needs a number as {figure} of {name}")
        yield name, of_name
